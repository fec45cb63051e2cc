"""What loader, inventory and residency have to know of a kind of model: where its modules lie, in it and in files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..precision import PARTS, part_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ESMFOLD", "Architecture", "architecture_of", "language_model_part"]


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
    trunk : str, optional
        The list of the folding trunk's blocks.
    part_of : callable
        The part of `precision.PARTS` that a module belongs to, by its name.
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
    configure : callable, optional
        What is changed of the configuration before the model is made.
    prepare : callable, optional
        What is changed of the model's methods when it is made.
    """

    kind: str
    container: str
    base: str
    stem: str
    trunk: str | None = None
    part_of: Callable[[str], str] = part_of
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
    configure: Callable[[Any], None] | None = None
    prepare: Callable[[nn.Module], None] | None = None

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


def _full_precision_buffers(config: Any) -> None:
    """Else the stem's buffers are in half precision."""
    config.esmfold_config.fp16_esm = False


ESMFOLD = Architecture(
    kind="an ESMFold",
    container="EsmForProteinFolding",
    base="esm",
    stem="esm.encoder.layer",
    trunk="trunk.blocks",
    unread=("esm.contact_head.",),
    other_tasks=("esm.pooler.", "esm.embeddings.position_embeddings."),
    trained_frequencies=".rotary_embeddings.inv_freq",
    configure=_full_precision_buffers,
)


def architecture_of(model: nn.Module) -> Architecture:
    """That which a model was built as; of one that the loader did not build, ESMFold."""
    return getattr(model, "architecture", ESMFOLD)
