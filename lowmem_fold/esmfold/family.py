"""ESMFold v1 as a family of folding models: see `families.interface`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .cost import ESMFoldCost
from .modules import ESMFOLD

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..precision import Precision
    from ..predictions.prediction import Prediction
    from ..residency.layers import Residency
    from ..sequences.records import Record
    from .engine import FoldInput
    from .skeleton import Skeleton

__all__ = ["FAMILY", "ESMFold"]

_ABLATIONS = ("bypass_lm", "esm_ablate_sequence", "use_esm_attn_map")


class ESMFold:
    """ESMFold v1."""

    name = "esmfold"
    architecture = ESMFOLD
    published = ("facebook/esmfold_v1",)
    phases: Mapping[str, str] = {
        "stem": "stem",
        "trunk": "trunk",  # all passes, recycling and structure module included
        "heads": "trunk",  # confidence, aligned error included
    }
    pair_bytes = 4 * 512  # twice what a fold takes
    cost = ESMFoldCost()

    def recognises(self, config: Mapping[str, Any]) -> bool:
        return config.get("model_type") == "esm" and bool(config.get("is_folding_model"))

    def refusal(self, config: Mapping[str, Any]) -> str | None:
        folding = config.get("esmfold_config") or {}
        if not isinstance(folding, Mapping):
            return f"esmfold_config is not an object: {folding!r:.40}"
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
        from ..sequences.records import CHAIN_BREAK, LINKER

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
