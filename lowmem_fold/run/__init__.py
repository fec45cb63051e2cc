"""The parts of a run over many records, from its options to its progress. ``folding.py`` puts them to work."""
