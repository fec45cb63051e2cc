"""Models on disk: found, read, built, counted, written."""
