"""The demo model: a small ESMFold that comes with the package.

`MODEL_FOLDER` holds it in the Hugging Face layout: stock `EsmForProteinFolding.from_pretrained` reads it. The scripts
that made it are in `benchmarks/training/`.
"""

from ..checkpoints.checkpoint import DEMO_FOLDER as MODEL_FOLDER

__all__ = ["MODEL_FOLDER"]
