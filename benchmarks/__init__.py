"""Measurements of the project; see README.md in this folder."""
