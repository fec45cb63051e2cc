"""3Dmol.js, which draws the structures of pages and notebooks: the copy in the package, the CDN's, or the user's.

Rego and Koes, Bioinformatics 31, 1322, 2015; https://3dmol.org. BSD 3-Clause: vendor/3dmol/LICENSE.
"""

from __future__ import annotations

import base64
import hashlib
import json
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from ..errors import InputError
from .packed import compressed, element

__all__ = [
    *("ADDRESS", "INTEGRITY", "VERSION"),
    *("compressed_library", "library_block", "policy_source", "read_library", "shipped_library"),
]

_FOLDER = files(__package__) / "vendor" / "3dmol"
_ORIGIN = json.loads((_FOLDER / "origin.json").read_text(encoding="utf-8"))

VERSION: str = _ORIGIN["version"]
#: Where its CDN has the file that the package holds.
ADDRESS: str = _ORIGIN["address"]
#: SHA-384 of that file: a browser runs no other from there. ``openssl dgst -sha384 -binary 3Dmol-min.js | base64``
INTEGRITY: str = _ORIGIN["integrity"]


def shipped_library() -> bytes:
    """Return the copy of 3Dmol.js that the package holds, of ``VERSION``."""
    return (_FOLDER / "3Dmol-min.js").read_bytes()


def read_library(path: str | Path) -> bytes:
    """Read a copy of 3Dmol.js.

    Raises
    ------
    InputError
        The file cannot be read, or is something else.
    """
    how = "Leave --js out to use the copy in the package, or give 3Dmol-min.js of the npm package 3dmol."
    try:
        data = Path(path).read_bytes()
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"--js {path}: cannot be read ({error.strerror or error}). {how}") from None
    except UnicodeDecodeError:
        text = ""
    if "createViewer" not in text or "3Dmol" not in text:
        raise InputError(f"--js {path}: not 3Dmol.js. {how}")
    return text.encode("utf-8")


def policy_source(library: bytes) -> str:
    """Return the source of a content security policy that lets a page run this text as a script, and no other."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(library).digest()).decode('ascii')}'"


@lru_cache(maxsize=2)
def compressed_library(library: bytes) -> str:
    """Return 3Dmol.js as a page or a notebook holds it: see `packed.compressed`; 0.2 MB."""
    return compressed(library)


def library_block(library: bytes) -> str:
    """Return the element ``library`` of a page, which holds 3Dmol.js compressed."""
    return element("library", compressed_library(library))
