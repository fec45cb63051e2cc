"""The scripts that made the demo model.

`python -m benchmarks.training.prepare` writes the training data, `.train` trains, `.export` writes the folder that
ships, and `.evaluate` measures it on held-out chains.
"""
