"""What a notebook shows of a prediction, a comparison or a model that is the result of a cell.

The scores are plain HTML, which is left where a notebook is not trusted or is shown as a file. The structure is a
document of its own in a sandboxed frame that holds 3Dmol.js: it needs no network and nothing of the cells before it
(Colab gives each output a frame of its own, so that no output finds what another one has loaded), and reaches nothing
of the notebook. It weighs 0.24 MB, and 0.25 kB for each residue; a second one weighs that again.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import LowmemFoldError
from ..system.html import html_text, table_html
from .library import shipped_library
from .packed import block, plain_json
from .page import document
from .structure_data import structure_data

if TYPE_CHECKING:
    from ..predictions.prediction import Prediction

__all__ = ["prediction_html", "structure_frame"]

#: In the order in which one uses the other.
_SCRIPTS = ("data", "dom", "packed", "cursor", "residues", "bands", "stage", "structure", "readout", "cell")
_HEIGHT = 480  # pixels


def prediction_html(prediction: Prediction) -> str:
    """Return the scores, why it cannot be true where it cannot, and the structure to be turned."""
    try:
        frame = structure_frame(prediction.id, structure_data(prediction))
    except LowmemFoldError:  # not finite, as its problems say
        frame = ""
    return table_html(prediction.id, prediction.headline(), prediction.problems()) + frame


def structure_frame(title: str, data: Mapping[str, Any]) -> str:
    """Return the frame of a structure. What is in it cannot reach the notebook, and nothing outside is asked for."""
    held = block("record-0", plain_json(data).encode("utf-8"))
    text = html.escape(document(title, {"title": title}, [held], _SCRIPTS, shipped_library()))
    style = f"width:100%;max-width:60rem;height:{_HEIGHT}px;border:1px solid #8884;border-radius:8px"
    return (
        f'<iframe title="{html_text(title)}, to be turned" sandbox="allow-scripts allow-downloads" style="{style}" '
        f'srcdoc="{text}"></iframe>'
    )
