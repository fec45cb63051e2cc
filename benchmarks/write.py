"""Every page and picture that is drawn from committed records: `python -m benchmarks.write`"""

from __future__ import annotations

from plots import make

from . import demo, front, planning
from .card import table as card


def main() -> None:
    for module in (front, demo, planning, card):
        module.write()
    make.main()


if __name__ == "__main__":
    main()
