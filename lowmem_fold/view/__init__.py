"""Showing predictions: a page for a run, structures in notebooks, plots, and pictures without a browser."""
