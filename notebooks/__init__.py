"""Notebooks for Colab and for here, and what runs them."""
