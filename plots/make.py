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
    ratio,
    seconds,
    sizes,
    streaming,
    structure,
    sweeps,
    times,
    training,
)

__all__ = ["PICTURES", "main"]

PICTURES = (
    *(longest, accuracy, memory, times, sizes),
    *(activations, ratio, streaming, seconds, structure, training),
)


def main() -> None:
    for module in PICTURES:
        module.write()
        print(module.PICTURE)
    sweeps.write()
    if not page.is_current():
        try:
            page.write()
        except FileNotFoundError as error:
            raise SystemExit(f"{page.PICTURE}: not taken anew, all others are drawn: {error}") from None
        print(page.PICTURE)


if __name__ == "__main__":
    main()
