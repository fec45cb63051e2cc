"""The demo model: a small ESMFold shipped with the package, and the scripts that made it.

`MODEL_FOLDER` holds it in the Hugging Face layout: stock `EsmForProteinFolding.from_pretrained` reads it. The steps
that made it are programs: `python -m lowmem_fold.demo.prepare` (training data), `.train`, `.export` (the folder) and
`.evaluate` (held-out scores).
"""

from ..checkpoints.checkpoint import DEMO_FOLDER as MODEL_FOLDER

__all__ = ["MODEL_FOLDER"]
