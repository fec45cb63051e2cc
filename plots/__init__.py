"""Pictures, each a pure function of committed records. `python -m plots.make` draws them all, light and dark."""
