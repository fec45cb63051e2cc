"""The packages that some functions need, and how to install them."""

from __future__ import annotations

__all__ = ["REQUIREMENTS", "install_command"]

#: As `pyproject.toml` has them among its extras.
REQUIREMENTS = {
    "optimum-quanto": "optimum-quanto>=0.2.7",
    "bitsandbytes": "bitsandbytes>=0.49",
    "h5py": "h5py>=3.8",
    "matplotlib": "matplotlib>=3.8",
    "py3Dmol": "py3Dmol>=2.4",
    "psutil": "psutil>=5.9",
    "shtab": "shtab>=1.7",
}


def install_command(*packages: str) -> str:
    """Return the command that installs packages, whatever this one was installed from.

    >>> install_command("h5py")
    "pip install 'h5py>=3.8'"
    """
    return " ".join(["pip install", *(f"'{REQUIREMENTS[package]}'" for package in packages)])
