"""Draw every picture from committed records: `python -m plots.make`.

The picture of the result page, which needs a browser, only where the run that it shows has changed: `plots/page.py`.
"""

from __future__ import annotations

from . import (
    accuracy,
    activations,
    longest,
    memory,
    page,
    plddt,
    ratio,
    seconds,
    streaming,
    structure,
    sweeps,
    training,
)

__all__ = ["PICTURES", "main"]

PICTURES = (longest, memory, activations, ratio, accuracy, plddt, seconds, streaming, training, structure)


def main() -> None:
    for module in PICTURES:
        module.write()
        print(module.PICTURE)
    sweeps.write()
    if not page.is_current():
        page.write()
        print(page.PICTURE)


if __name__ == "__main__":
    main()
