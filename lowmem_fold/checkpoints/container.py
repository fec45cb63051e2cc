"""A model without its weights: the container of transformers that is to hold them, shaped as its architecture says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..errors import ModelError, first_line
from .architecture import Architecture
from .checkpoint import Checkpoint
from .weight_files import WeightFiles

__all__ = ["container_of", "empty_model", "is_under", "linear_names", "linears", "quiet_transformers", "replace_module"]


def container_of(architecture: Architecture) -> Any:
    """Return the class of transformers that holds the weights; ModelError if the installed version has it not."""
    import transformers

    container = getattr(transformers, architecture.container, None)
    if container is None:
        raise ModelError(
            f"transformers {transformers.__version__} has no {architecture.container}, and {architecture.kind} is held"
            " by it: pip install -U transformers"
        )
    return container


def empty_model(checkpoint: Checkpoint, architecture: Architecture) -> Any:
    """Make the model without its weights; buffers are there, in float32. ModelError if it cannot be configured."""
    from accelerate import init_empty_weights

    container = container_of(architecture)
    with quiet_transformers():
        try:
            config = container.config_class.from_pretrained(checkpoint.path)
            if architecture.configure is not None:
                architecture.configure(config)
            with init_empty_weights(include_buffers=False):
                model = container(config)
        except Exception as error:  # each version of transformers raises its own
            raise ModelError(f"{checkpoint.path}/config.json: {first_line(error)}") from error
    model.architecture = architecture
    _shape(model, checkpoint, architecture)
    return model


def _shape(model: nn.Module, checkpoint: Checkpoint, architecture: Architecture) -> None:
    """Take out what is not run, and the head if the files have none."""
    for name in architecture.dropped:
        replace_module(model, name, None)
    head = architecture.head
    if head is not None and not any(is_under(name, head) for name in WeightFiles(checkpoint.path)):
        replace_module(model, head.partition(".")[0], None)
    if architecture.prepare is not None:
        architecture.prepare(model)


def linear_names(checkpoint: Checkpoint, architecture: Architecture) -> list[str]:
    """Return the names of the linear layers, which globs are matched with; ModelError as of `empty_model`."""
    return linears(empty_model(checkpoint, architecture))


def linears(model: nn.Module) -> list[str]:
    """Return the names of a model's linear layers."""
    return [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]


def is_under(name: str, prefix: str) -> bool:
    """Return whether a module or tensor is that of the other name, or within it; all are within no name."""
    return not prefix or f"{name}.".startswith(f"{prefix}.")


def replace_module(model: nn.Module, name: str, module: nn.Module | None) -> None:
    """Put a module, or nothing, in the place of that of this name."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep it from its remarks and bars: what matters of them becomes an error."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
