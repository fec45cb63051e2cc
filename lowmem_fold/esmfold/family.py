"""ESMFold v1 as a family of folding models: see `families.interface`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..checkpoints.architecture import Architecture
from ..families.interface import Phase
from .cost import ESMFoldCost

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..precision import Precision
    from ..predictions.prediction import Prediction
    from ..residency.layers import Residency
    from ..sequences.sequences import Record
    from .engine import FoldInput
    from .skeleton import Skeleton

__all__ = ["ESMFOLD", "FAMILY", "ESMFold", "part_of"]

_SEQUENCE_TRACK = ("seq_attention", "mlp_seq", "layernorm_1")
_ABLATIONS = ("bypass_lm", "esm_ablate_sequence", "use_esm_attn_map")


def part_of(module: str) -> str:
    """The part of PARTS that a module of ESMFold, by its name, belongs to."""
    if module.startswith("esm."):
        return "stem"
    if module.startswith("trunk.blocks."):
        return "trunk" if any(f".{name}" in module for name in _SEQUENCE_TRACK) else "pair-modules"
    if module.startswith(("esm_s_", "embedding", "trunk.recycle_s_norm")):
        return "trunk"
    if module.startswith(("trunk.recycle_", "trunk.pairwise_positional_embedding")):
        return "pair-modules"
    return "structure"


def _full_precision_buffers(config: Any) -> None:
    """Else the stem's buffers are in half precision."""
    config.esmfold_config.fp16_esm = False


def _is_published_in_half(config: Mapping[str, Any]) -> bool:
    return bool((config.get("esmfold_config") or {}).get("fp16_esm"))


ESMFOLD = Architecture(
    kind="an ESMFold",
    container="EsmForProteinFolding",
    base="esm",
    stem="esm.encoder.layer",
    trunk="trunk.blocks",
    part_of=part_of,
    unread=("esm.contact_head.",),
    other_tasks=("esm.pooler.", "esm.embeddings.position_embeddings."),
    trained_frequencies=".rotary_embeddings.inv_freq",
    computed=("position_ids", "inv_freq", "af2_to_esm", "default_frames", "group_idx", "atom_mask", "lit_positions"),
    in_half=_is_published_in_half,
    configure=_full_precision_buffers,
)


class ESMFold:
    """ESMFold v1."""

    name = "esmfold"
    architecture = ESMFOLD
    published = ("facebook/esmfold_v1",)
    phases: Mapping[str, Phase] = {
        "stem": Phase("the language model", "stem"),
        "trunk": Phase("the passes through the trunk, recycling and structure module included", "trunk"),
        "heads": Phase("the confidence, aligned error included", "trunk"),
    }
    pair_bytes = 4 * 512  # twice what a fold takes
    cost = ESMFoldCost()

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "esm" and bool(config.get("is_folding_model"))

    def refusal(self, config: Mapping[str, Any]) -> str | None:
        folding = config.get("esmfold_config") or {}
        found = next((option for option in _ABLATIONS if folding.get(option)), None)
        return found and f"{found} is an ablation that no published model uses; it is not supported"

    def published_config(self) -> dict[str, Any]:
        from .published import esmfold_v1_config

        config = esmfold_v1_config()
        config.esmfold_config.fp16_esm = True
        found: dict[str, Any] = config.to_dict()
        return found

    def stack_counts(self, config: Mapping[str, Any]) -> tuple[int, int]:
        return config["num_hidden_layers"], config["esmfold_config"]["trunk"]["num_blocks"]

    def skeleton(self, config: Mapping[str, Any]) -> Skeleton:
        from .skeleton import Skeleton

        return Skeleton(config)

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        from ..sequences.sequences import CHAIN_BREAK, LINKER

        decisive = {name: options[name] for name in ("num_recycles", "recycle_tolerance")}
        return {**decisive, "linker": LINKER, "chain_break": CHAIN_BREAK}

    def check_options(self, **options: Any) -> None:
        from .options import check_options

        check_options(**options)

    def features(self, record: Record, device: torch.device) -> FoldInput:
        from .features import fold_input

        return fold_input(record, device)

    def state_bytes(self, model: nn.Module) -> int:
        return 2 * 4 * int(model.config.hidden_size)  # in a layer, and the mixed ones so far

    def stem_states(
        self,
        model: nn.Module,
        given: Sequence[FoldInput],
        residency: Residency,
        progress: Callable[[float], None] | None,
        group_tokens: int,
    ) -> list[Tensor]:
        from .engine import initial_sequence_states

        return initial_sequence_states(model, given, residency, progress, group_tokens)

    def fold(
        self,
        model: nn.Module,
        records: Sequence[Record],
        given: Sequence[FoldInput],
        *,
        residency: Residency,
        precision: Precision,
        states: Sequence[Tensor] | None,
        **options: Any,
    ) -> list[Prediction]:
        from .fold import fold_records

        return fold_records(model, records, given, residency=residency, precision=precision, states=states, **options)


FAMILY = ESMFold()
