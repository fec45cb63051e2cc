"""Fold proteins with ESMFold on the hardware you have: the same structures from a fraction of the memory.

>>> import lowmem_fold as lf
>>> folder = lf.load("demo")
>>> prediction = folder.fold("MKTAYIAKQR:GSHMLE")
>>> prediction.mean_plddt, prediction.save("out/")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .system.versions import package_version

if TYPE_CHECKING:
    from .backbones.backbone import Backbone
    from .backbones.loading import load_backbone
    from .backbones.parity import compare_states, stock_states
    from .backbones.stores import read_embeddings
    from .errors import InputError, LowmemFoldError, ModelError
    from .folder import Folder
    from .loading import load
    from .planning.plan import plan
    from .predictions.prediction import Prediction
    from .view.comparison import compare

__all__ = [
    "Backbone",
    "Folder",
    "InputError",
    "LowmemFoldError",
    "ModelError",
    "Prediction",
    "__version__",
    "compare",
    "compare_states",
    "load",
    "load_backbone",
    "plan",
    "read_embeddings",
    "stock_states",
]

__version__ = package_version()

_HOME = {
    "Backbone": ".backbones.backbone",
    "Folder": ".folder",
    "InputError": ".errors",
    "LowmemFoldError": ".errors",
    "ModelError": ".errors",
    "Prediction": ".prediction",
    "compare": ".view.comparison",
    "compare_states": ".backbones.parity",
    "load": ".loading",
    "load_backbone": ".backbones.loading",
    "plan": ".planning.plan",
    "read_embeddings": ".backbones.stores",
    "stock_states": ".backbones.parity",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: `--help` must not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name], __name__), name)
