"""ESMFold v1, inference only, with every large operation in place and in blocks of rows."""
