"""Finding a model: the Hugging Face layout, from the package, a folder, or the hub's cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, ModelError, first_line
from ..precision import PARTS, Precision, parse_precision
from ..system.model_names import model_suggestion
from .file_digest import file_digest
from .weight_files import chosen_files, chosen_patterns

__all__ = [
    "DEMO_FOLDER",
    "POLICY_FILE",
    "POLICY_VERSION",
    "STORED_MARK",
    "VOCABULARY_FILES",
    "WEIGHTS_KEY",
    "Checkpoint",
    "find_checkpoint",
]

#: Beside the configuration of a folder that holds weights in quantized form: how they are stored.
POLICY_FILE = "precision.json"
POLICY_VERSION = 1

#: The key of config.json that makes stock transformers read another file than `model.safetensors`.
WEIGHTS_KEY = "transformers_weights"
#: Its value in a folder of quantized weights. It is not a file name that stock transformers takes, which therefore
#: refuses the folder with this text. (A `quantization_config` of an unknown method only makes it warn, and go on.)
STORED_MARK = (
    "the weights are stored by `lowmem-fold quantize` and read by `lowmem_fold.load` and `load_backbone`;"
    " `lowmem-fold quantize --dequantize` unpacks them for stock transformers"
)
#: The demo model, which comes with the package.
DEMO_FOLDER = Path(__file__).resolve().parents[1] / "demo" / "model"
#: Where the vocabulary of a language model lies: the first of these that is there.
VOCABULARY_FILES = ("vocab.txt", "tokenizer.json", "spiece.model")
_ADAPTER = "adapter_config.json"


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
    def config(self) -> dict[str, Any]:
        """What `config.json` holds, as it is now. ModelError where it is missing, or holds something else."""
        path = self.path / "config.json"
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            raise ModelError(f"{self.path} holds no config.json: it is not a model in Hugging Face layout") from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} cannot be read: {error}") from None
        if not isinstance(found, dict):
            raise ModelError(f"{path} holds no configuration, but a {type(found).__name__}")
        return found

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that differ between models: a hash of all that is read of them.

        That is the configuration, the vocabulary if there is one, and the files of weights that loading reads, each
        from its first to its last byte: a fine-tuned model may differ from another in one tensor alone. A file of
        gigabytes is read for it once, and its hash kept (`file_digest`).

        Raises
        ------
        ModelError
            A file is missing or cannot be read.
        """
        digest = hashlib.sha256()
        for file in self._files_read():
            try:
                digest.update(f"{file.name} {file_digest(file)}\n".encode())
            except OSError as error:
                raise ModelError(f"{file} cannot be read ({first_line(error)})") from error
        return digest.hexdigest()[:16]

    def _files_read(self) -> Iterator[Path]:
        yield self.path / "config.json"
        yield from [self.path / name for name in VOCABULARY_FILES if (self.path / name).exists()][:1]
        yield from chosen_files(self.path)

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
            raise ModelError(f"{path} is not a policy that this version reads ({first_line(error)})") from error

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
                f"{self.name} is stored as {stored} and cannot be loaded as {asked}; leave the precision out, or load"
                " its source"
            )
        return asked

    def is_complete(self) -> bool:
        """Whether all files of weights that would be read are there: a broken download may have left some."""
        try:
            return bool(chosen_files(self.path))
        except ModelError:
            return False


def _stored_form(precision: Precision) -> tuple:
    return (*(precision.part(name).weights for name in PARTS), precision.include, precision.exclude)


def find_checkpoint(model: str) -> Checkpoint:
    """Find the model `demo`, of a local folder, or of a hub id (downloaded, or from the hub's cache), of any family.

    Raises
    ------
    ModelError
        It is not available, or has no configuration or no weights: says what to do.
    """
    if model == "demo":
        checkpoint = Checkpoint(model, DEMO_FOLDER)
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
        if "/" not in model and (suggestion := model_suggestion(model)):
            raise ModelError(f"unknown model {model!r}.{suggestion}") from None
    try:
        files = [file.rfilename for file in HfApi().model_info(model, timeout=10).siblings or []]
        weights = chosen_patterns(files)
        others = [file for file in files if file.endswith(".index.json") and file not in weights]
        wanted = ["*.json", "*.txt", "spiece.model", *weights]
        return Path(snapshot_download(model, allow_patterns=wanted, ignore_patterns=others))
    except Exception as error:  # the hub's client raises its own errors, those of its HTTP library, and the system's
        raise ModelError(_unreachable(model, error)) from None


def _unreachable(model: str, error: Exception) -> str:
    return (
        f"{model} is not in the Hugging Face cache of this machine and could not be downloaded ({first_line(error)})."
        f"{model_suggestion(model)}\n"
        f"Get it on a machine with network access: hf download {model} --local-dir DIR; then use --model DIR.\n"
        "--model demo comes with the package and works offline."
    )


def _check(checkpoint: Checkpoint) -> None:
    path = checkpoint.path / "config.json"
    named = checkpoint.config.get(WEIGHTS_KEY)
    if str(named).endswith((".safetensors", ".json")) and named != "model.safetensors":
        raise ModelError(
            f"{path}: {WEIGHTS_KEY} is {named!r}, and only model.safetensors, or the shards of its index, are read:"
            " rename the file, and take the entry out"
        )
    if (checkpoint.path / _ADAPTER).exists():
        raise ModelError(
            f"{checkpoint.path} holds an adapter beside the weights ({_ADAPTER}), which stock transformers would apply,"
            f" and lowmem_fold does not: merge it into the weights (`merge_and_unload` of peft), or remove {_ADAPTER}"
        )
    chosen_files(checkpoint.path)
