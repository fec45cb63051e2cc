"""What loader, inventory and residency have to know of a kind of model: where its modules lie, in it and in files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..precision import PARTS

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Architecture", "architecture_of", "language_model_part"]


@dataclass(frozen=True)
class Architecture:
    """A kind of model. Names are those of modules, such as `esm.encoder.layer`.

    Attributes
    ----------
    kind : str
        For errors: `an ESMFold`.
    container : str
        The class of transformers that holds the weights.
    base : str
        The module with the language model. Files that were written of it alone lack this prefix.
    stem : str
        The list of the language model's layers.
    part_of : callable
        The part of `precision.PARTS` that a module belongs to, by its name.
    trunk : str, optional
        The list of the folding trunk's blocks.
    parts : tuple of str
        Those there are.
    head : str, optional
        The masked-language-model head; a model whose files have none is without it. Never quantized.
    dropped : tuple of str
        Modules of the container that are not run, and are taken out.
    unread : tuple of str
        Prefixes of tensors that nothing reads: files may hold them or not. Never quantized.
    other_tasks : tuple of str
        Prefixes of tensors that files may hold for tasks that are none of ours.
    foreign : bool
        Whether files may hold any tensor outside of `base` and `head`.
    same : tuple of (str, str)
        Names of one tensor: files may hold either.
    full_range : tuple of str
        Globs on linear layers whose inputs leave the range of float16: where others compute in it, these use float32.
    float32_states : bool
        Whether the residual stream is float32 whatever products are computed in.
    trained_frequencies : str, optional
        How the names end under which files may hold rotary frequencies that the weights were trained with, and which
        are other than those that the model computes.
    computed : tuple of str
        How the names of buffers end that the model computes, and that files may hold or not.
    trained_buffers : tuple of str
        Names of buffers that belong to the weights: files hold them, and they are read as weights are.
    in_half : callable, optional
        Given a configuration, whether files of it hold the language model in float16; else all is float32 there.
    configure : callable, optional
        What is changed of the configuration before the model is made.
    prepare : callable, optional
        What is changed of the model's methods when it is made.
    """

    kind: str
    container: str
    base: str
    stem: str
    part_of: Callable[[str], str]
    trunk: str | None = None
    parts: tuple[str, ...] = tuple(PARTS)
    head: str | None = None
    dropped: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    other_tasks: tuple[str, ...] = ()
    foreign: bool = False
    same: tuple[tuple[str, str], ...] = ()
    full_range: tuple[str, ...] = ()
    float32_states: bool = False
    trained_frequencies: str | None = None
    computed: tuple[str, ...] = ("position_ids", "inv_freq")
    trained_buffers: tuple[str, ...] = ()
    in_half: Callable[[Mapping[str, Any]], bool] | None = None
    configure: Callable[[Any], None] | None = None
    prepare: Callable[[nn.Module], None] | None = None

    def file_dtype(self, name: str, config: Mapping[str, Any]) -> str:
        """What files hold a tensor in, by its name, where nothing is quantized: fp16 or fp32."""
        half = self.in_half is not None and self.in_half(config)
        return "fp16" if half and f"{name}.".startswith(f"{self.base}.") else "fp32"

    def stacks(self, model: nn.Module) -> tuple[list[tuple[str, nn.Module]], list[tuple[str, nn.Module]]]:
        """Names and modules of the stem's layers and of the trunk's blocks, of which a language model has none."""
        stem, trunk = (_members(model, path) for path in (self.stem, self.trunk))
        return stem, trunk


def _members(model: nn.Module, path: str | None) -> list[tuple[str, nn.Module]]:
    if path is None:
        return []
    return [(f"{path}.{name}", member) for name, member in model.get_submodule(path).named_children()]


def language_model_part(module: str) -> str:
    """Of any module of a language model by itself: the stem."""
    return "stem"


def architecture_of(model: nn.Module) -> Architecture:
    """That which a model was built as. TypeError of one that the loader did not build."""
    found = getattr(model, "architecture", None)
    if not isinstance(found, Architecture):
        raise TypeError(f"a {type(model).__name__} that lowmem_fold has not loaded has no architecture")
    return found
