"""Write a run's averaged weights as a Hugging Face folder: `python -m benchmarks.training.export RUN --stem FOLDER`.

The stem is stored in half precision and the trunk in float32, like the published ESMFold. The folder is built beside
its place and swapped in, in two renames; files that are not written here (model card, licences) are carried over. The
run's log comes along as training.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import EsmForProteinFolding, EsmTokenizer, PreTrainedConfig
from transformers.models.esm.openfold_utils import residue_constants

from lowmem_fold.demo import MODEL_FOLDER
from lowmem_fold.errors import ModelError

from .architecture import Shape, build

__all__ = ["averaged_model", "main", "write_folder", "write_log", "write_tokenizer"]

_PATHS = {"data", "side_chains", "stem", "out", "start"}
"""Settings that name a file or a folder."""


def averaged_model(checkpoint: str | Path, stem: str | Path) -> EsmForProteinFolding:
    """The model of a checkpoint with its averaged weights, stem in half precision.

    Raises
    ------
    ModelError
        The checkpoint cannot be read.
    """
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model = build(Shape(**state["shape"]), stem)
        missing, unexpected = model.load_state_dict(state["average"], strict=False)
    except (OSError, KeyError, TypeError, RuntimeError) as error:
        raise ModelError(f"{checkpoint}: not a checkpoint of benchmarks.training.train ({error})") from error
    if unexpected or any(not name.startswith(("esm.", "af2_to_esm")) for name in missing):
        raise ModelError(f"{checkpoint}: does not match the model's layers")
    model.esm.half()
    return model


def write_folder(model: EsmForProteinFolding, folder: str | Path) -> None:
    """Write configuration, weights and tokenizer; the folder is replaced whole or not at all."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        fresh, old = Path(scratch) / "new", Path(scratch) / "old"
        if folder.exists():
            shutil.copytree(folder, fresh)
        model.save_pretrained(fresh)
        _write_config(fresh / "config.json")
        write_tokenizer(fresh)
        for file in fresh.iterdir():
            file.chmod(0o644)  # safetensors writes for the owner alone
        if folder.exists():
            os.replace(folder, old)
        try:
            os.replace(fresh, folder)
        except OSError:
            if old.exists():
                os.replace(old, folder)
            raise


def _write_config(path: Path) -> None:
    """Name the trunk's precision: the stock class makes the stem half by `fp16_esm`. The inner configurations keep
    their own keys alone: what every configuration has, older releases of transformers refuse there."""
    config = json.loads(path.read_text())
    config["dtype"] = "float32"
    general = {"_name_or_path", *PreTrainedConfig().to_dict()}
    inner = config["esmfold_config"]
    for part in (inner["trunk"]["structure_module"], inner["trunk"], inner):
        for key in general & part.keys():
            del part[key]
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_tokenizer(folder: Path) -> None:
    """A tokenizer whose ids are AlphaFold's residue order, as the folding model takes them (no special tokens)."""
    extras = ["<cls>", "<pad>", "<eos>", "<unk>", "<mask>"]
    vocabulary = Path(folder) / "vocab.txt"
    vocabulary.write_text("\n".join([*residue_constants.restypes_with_x, *extras]))
    EsmTokenizer(vocab_file=str(vocabulary), model_max_length=1024).save_pretrained(folder)


def write_log(log: str | Path, folder: str | Path) -> None:
    """Copy a run's log as training.jsonl, its settings without the folders of the machine that it ran on."""
    lines = []
    for line in Path(log).read_text().splitlines():
        record = json.loads(line)
        for name in _PATHS & record.get("settings", {}).keys():
            record["settings"][name] = Path(record["settings"][name]).name
        lines.append(json.dumps(record) + "\n")
    (Path(folder) / "training.jsonl").write_text("".join(lines))


def main(arguments: list[str] | None = None) -> None:
    """Export from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("run", type=Path, help="folder of the training run")
    parser.add_argument("--stem", required=True, help="folder of ESM-2 8M in the Hugging Face layout")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="(%(default)s)")
    options = parser.parse_args(arguments)
    write_folder(averaged_model(options.run / "checkpoint.pt", options.stem), options.out)
    write_log(options.run / "log.jsonl", options.out)
    size = sum(file.stat().st_size for file in options.out.iterdir())
    print(f"{options.out}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
