"""Draw every picture from committed records: `python -m plots.make`."""

from __future__ import annotations

from . import accuracy, activations, longest, memory, plddt, ratio, seconds, streaming, structure, sweeps, training

__all__ = ["PICTURES", "main"]

PICTURES = (longest, memory, activations, ratio, accuracy, plddt, seconds, streaming, training, structure)


def main() -> None:
    for module in PICTURES:
        module.write()
        print(module.PICTURE)
    sweeps.write()


if __name__ == "__main__":
    main()
