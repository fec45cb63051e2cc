"""What a few minutes on a GPU can show of lowmem_fold, in one command: see `__main__.py`."""
