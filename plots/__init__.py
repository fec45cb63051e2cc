"""Pictures, each a pure function of committed records in `benchmarks/results/`. `python -m plots.memory` draws one."""
