"""Finding a model: the Hugging Face layout, from the package, a folder, or the hub's cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .errors import InputError, ModelError, first_line
from .precision import PARTS, Precision, parse_precision

__all__ = ["POLICY_FILE", "POLICY_VERSION", "Checkpoint", "find_checkpoint", "find_model"]

#: Beside the configuration of a folder that holds weights in quantized form: how they are stored.
POLICY_FILE = "precision.json"
POLICY_VERSION = 1

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.index.json")
_SAMPLE_BYTES = 2**20


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: the name it was asked for by, and the folder that holds it."""

    name: str
    path: Path

    @property
    def short_name(self) -> str:
        """The name without the folders of one machine."""
        return self.path.resolve().name if Path(self.name).is_dir() else self.name

    @property
    def folds(self) -> bool:
        """Whether it is an ESMFold; else it is a language model."""
        config = json.loads((self.path / "config.json").read_text())
        return config.get("model_type") == "esm" and bool(config.get("is_folding_model"))

    def fingerprint(self) -> str:
        """16 hexadecimal digits that differ between models: a hash of the configuration, and of each weight file's
        name, size, first and last MiB (a published model of 8 GB is not read twice)."""
        digest = hashlib.sha256((self.path / "config.json").read_bytes())
        for file in self.weight_files():
            size = file.stat().st_size
            digest.update(f"{file.name} {size}".encode())
            with file.open("rb") as stream:
                digest.update(stream.read(_SAMPLE_BYTES))
                stream.seek(max(0, size - _SAMPLE_BYTES))
                digest.update(stream.read())
        return digest.hexdigest()[:16]

    def policy(self) -> Precision | None:
        """How the weights are stored, if `lowmem-fold quantize` has written them; None of an ordinary model.

        Raises ModelError if the file that says so is damaged.
        """
        path = self.path / POLICY_FILE
        if not path.exists():
            return None
        try:
            about = json.loads(path.read_text())
            if about["schema_version"] != POLICY_VERSION:
                raise ValueError(f"schema_version is {about['schema_version']}, not {POLICY_VERSION}")
            return Precision.from_dict(about["precision"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError) as error:
            raise ModelError(f"{path} is no policy that this version reads ({first_line(error)})") from error

    def asked_precision(
        self, precision: str | Precision | None, narrowed: Callable[[Precision], Precision] = lambda policy: policy
    ) -> Precision:
        """What is asked for, by default how the weights are stored, else fp32. Of a quantized folder it can be its own,
        with other compute dtypes and pair states; InputError for another. narrowed: leaves of a policy what counts."""
        policy = self.policy()
        stored = None if policy is None else narrowed(policy)
        if precision is None:
            return stored or Precision()
        asked = narrowed(parse_precision(precision))
        if stored is not None and _stored_form(asked) != _stored_form(stored):
            raise InputError(
                f"{self.name} is stored as {stored} and cannot be had as {asked}; leave the precision out, or load"
                " its source"
            )
        return asked

    def is_complete(self) -> bool:
        """Whether weights are there, and every shard that an index names: a broken download may have left some."""
        files = self.weight_files()
        try:
            indices = [json.loads(file.read_text()) for file in files if file.suffix == ".json"]
            shards = {name for index in indices for name in index["weight_map"].values()}
        except (ValueError, KeyError, TypeError, AttributeError):  # an index that was cut short
            return False
        return bool(files) and all((self.path / name).exists() for name in shards)

    def weight_files(self) -> list[Path]:
        """Files of weights, and of their index where there are several."""
        return sorted({file for pattern in _WEIGHTS for file in self.path.glob(pattern)})


def _stored_form(precision: Precision) -> tuple:
    return (*(precision.part(name).weights for name in PARTS), precision.include, precision.exclude)


def find_checkpoint(model: str) -> Checkpoint:
    """The folding model `demo`, of a local folder, or of a hub id (downloaded, or from the hub's cache).

    Raises ModelError, with what to do, if it cannot be had or is no folding model.
    """
    checkpoint = _located(model)
    _check_folding(checkpoint)
    return checkpoint


def find_model(model: str) -> Checkpoint:
    """As `find_checkpoint`, of a folding model or a language model. ModelError also if it is of no known family."""
    from .backbones.families import family_of

    checkpoint = _located(model)
    if checkpoint.folds:
        _check_folding(checkpoint)
    else:
        family_of(checkpoint.path)
    return checkpoint


def _located(model: str) -> Checkpoint:
    """A model of any kind, which has a configuration and weights."""
    if model == "demo":
        from .demo import MODEL_FOLDER

        checkpoint = Checkpoint(model, MODEL_FOLDER)
    elif os.path.isdir(model):  # pathlib raises for a name that is too long
        checkpoint = Checkpoint(model, Path(model))
    elif os.path.exists(model):
        raise ModelError(f"{model} is a file; --model takes the folder that holds config.json and the weights")
    else:
        checkpoint = Checkpoint(model, _from_hub(model))
    _check(checkpoint)
    return checkpoint


def _from_hub(model: str) -> Path:
    """The snapshot in the hub's cache, which answers offline and at once, or else a fresh one."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ModelError(
            f"there is no folder {model}; --model takes a folder, a hub id such as facebook/esmfold_v1, or demo"
        )
    try:
        cached = Checkpoint(model, Path(snapshot_download(model, local_files_only=True)))
        if cached.is_complete():
            return cached.path
    except HFValidationError:
        raise ModelError(
            f"{model!r} is neither a folder nor a hub id (such as facebook/esmfold_v1), nor demo"
        ) from None
    except LocalEntryNotFoundError:
        pass
    try:
        files = [file.rfilename for file in HfApi().model_info(model, timeout=10).siblings or []]
        safe = any(file.endswith(".safetensors") for file in files)
        weights = "*.safetensors" if safe else "pytorch_model*.bin"
        return Path(snapshot_download(model, allow_patterns=["*.json", "*.txt", "spiece.model", weights]))
    except Exception as error:  # the hub's client raises its own errors, those of its HTTP library, and the system's
        raise ModelError(_unreachable(model, error)) from None


def _unreachable(model: str, error: Exception) -> str:
    return (
        f"{model} is not in the hub's cache and could not be fetched ({first_line(error)}).\n"
        f"Get it on a machine with network access: hf download {model} --local-dir DIR; then use --model DIR.\n"
        "--model demo comes with the package and works offline."
    )


def _check(checkpoint: Checkpoint) -> None:
    path = checkpoint.path / "config.json"
    try:
        config = json.loads(path.read_text())
    except FileNotFoundError:
        raise ModelError(f"{checkpoint.path} holds no config.json: it is no model in Hugging Face layout") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}") from None
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds no configuration, but a {type(config).__name__}")
    if not checkpoint.weight_files():
        raise ModelError(f"{checkpoint.path} holds no weights (model.safetensors or pytorch_model.bin)")


def _check_folding(checkpoint: Checkpoint) -> None:
    path = checkpoint.path / "config.json"
    config = json.loads(path.read_text())
    if not checkpoint.folds:
        raise ModelError(
            f"{path}: model_type {config.get('model_type')!r} is no ESMFold (an esm with is_folding_model), which"
            " folding needs; lowmem-fold embed, fill and score take language models"
        )
    for option in ("bypass_lm", "esm_ablate_sequence", "use_esm_attn_map"):
        if (config.get("esmfold_config") or {}).get(option):
            raise ModelError(f"{path}: {option} is an ablation that no published model uses; it is not supported")
