"""Draw every picture from committed records: `python -m plots.make`."""

from __future__ import annotations

from . import accuracy, activations, memory, plddt, ratio, seconds, streaming, training
from .style import dark_path

__all__ = ["PICTURES", "main"]

PICTURES = (memory, activations, ratio, accuracy, plddt, seconds, streaming, training)


def main() -> None:
    for module in PICTURES:
        module.write()
        print(module.PICTURE, dark_path(module.PICTURE).name)


if __name__ == "__main__":
    main()
