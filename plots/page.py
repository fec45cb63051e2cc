"""The result page of a run, as Chromium shows it: `python -m plots.page`.

The run is what `make demo` folds, with its files kept in `benchmarks/results/demo-run/`:

    lowmem-fold fold -i benchmarks/data/demo.fasta -o benchmarks/results/demo-run --model demo --save-pae --overwrite

(its log and the path of the model's folder in `config.json` are left out). Needed: `chromium` (Debian's package). To be
run again when the page looks different.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from .style import dark_path, fingerprint, save

__all__ = ["PICTURE", "RECORD", "RUN", "is_current", "run_files", "write"]

ROOT = Path(__file__).parent.parent
RUN = ROOT / "benchmarks" / "results" / "demo-run"
PICTURE = Path(__file__).parent / "page.png"
RECORD = "3a4rA"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
    "--virtual-time-budget=20000",  # milliseconds of the page's clock, in which it draws the structure
    "--window-size=1100,1026",
)
#: What the page is told that its reader prefers (Chromium's `PreferredColorScheme`).
_PREFERS = {"light": 1, "dark": 0}
_PATIENCE_SECONDS = 300


def run_files() -> list[tuple[str, str]]:
    """Name and SHA-256 of each file of the run."""
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(RUN.iterdir())]


def is_current() -> bool:
    """Whether both pictures are there and are of the run's files as they are."""
    found = fingerprint(run_files()).encode()
    return all(path.is_file() and found in path.read_bytes() for path in (PICTURE, dark_path(PICTURE)))


def write(picture: Path = PICTURE) -> None:
    """Write the page of the run, and a picture of it on a light and on a dark desktop.

    Raises
    ------
    FileNotFoundError
        Chromium is not there.
    """
    browser = _browser()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        command = [sys.executable, "-m", "lowmem_fold.cli", "view", str(RUN), "-o", str(page)]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        for path, scheme in ((picture, "light"), (dark_path(picture), "dark")):
            _shoot(browser, page, path, Path(folder) / scheme, _PREFERS[scheme])


def _shoot(browser: str, page: Path, path: Path, profile: Path, prefers: int) -> None:
    """One picture, by a browser with an empty profile."""
    profile.mkdir()
    shot = profile / "shot.png"
    options = (f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={prefers}", f"--screenshot={shot}")
    command = [browser, *_OPTIONS, *options, f"{page.as_uri()}#{RECORD}"]
    subprocess.run(command, check=True, timeout=_PATIENCE_SECONDS, capture_output=True)
    save(path, shot, fingerprint(run_files()))


def _browser() -> str:
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        raise FileNotFoundError("the picture of the page needs Chromium, which is not installed: apt install chromium")
    return found


if __name__ == "__main__":
    write()
