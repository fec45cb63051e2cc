"""A prediction, its confidence, and its files."""
