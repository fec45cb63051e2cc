"""3Dmol.js, which draws the structures of a page: from its CDN, or a copy that the page then holds.

Rego and Koes, Bioinformatics 31, 1322, 2015; https://3dmol.org. BSD 3-Clause.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError

__all__ = ["ADDRESS", "INTEGRITY", "VERSION", "read_library"]

VERSION = "2.5.5"
ADDRESS = f"https://cdn.jsdelivr.net/npm/3dmol@{VERSION}/build/3Dmol-min.js"
#: SHA-384 of that file: a browser runs no other. ``openssl dgst -sha384 -binary 3Dmol-min.js | base64``
INTEGRITY = "sha384-OsczYbldvrHgslr9fFp/i4GiLSeuw9l+QIlv99ITw8soOwXcoGeflFMLg+CU/X1d"


def read_library(path: str | Path) -> bytes:
    """The text of a copy of 3Dmol.js.

    Raises
    ------
    InputError
        The file cannot be read, or is something else.
    """
    how = f"Save {ADDRESS} and name that file (or 3Dmol-min.js of the npm package 3dmol)."
    try:
        data = Path(path).read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise InputError(f"--js {path}: cannot be read ({error.strerror or error}). {how}") from None
    except UnicodeDecodeError:
        text = ""
    if "createViewer" not in text or "3Dmol" not in text:
        raise InputError(f"--js {path}: is not 3Dmol.js. {how}")
    return data
