"""What a measurement folds with: a loaded model, ours or a peer's, and the sequence of the configuration."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Protocol

from ..checkpoints.checkpoint import Checkpoint
from ..errors import InputError
from .chains import chain_of
from .clock import PhaseClock
from .configuration import Configuration

if TYPE_CHECKING:
    import torch

    from ..folder import Folder
    from .accuracy import Outputs
    from .peers import StockFold

__all__ = ["Fold", "OurFold", "PeersFold"]


class Fold(Protocol):
    """A loaded model with the sequence that it folds."""

    def __call__(self, clock: PhaseClock, *, distogram: bool) -> Outputs: ...

    def about(self) -> dict[str, Any]:
        """Return what of it goes into the record."""


class OurFold:
    """Folds with our code, as the configuration has it."""

    def __init__(self, configuration: Configuration, checkpoint: Checkpoint, device: torch.device) -> None:
        from ..loading import load

        self._configuration = configuration
        self._sequence = chain_of(configuration.length)[0]
        self._folder: Folder = load(
            configuration.model,
            precision=configuration.precision,
            device=device,
            placement=configuration.placement,
            memory=configuration.memory,
            length=configuration.length,
        )

    def __call__(self, clock: PhaseClock, *, distogram: bool) -> Outputs:
        prediction = self._folder.fold(
            self._sequence,
            num_recycles=self._configuration.num_recycles,
            chunk_size=self._configuration.chunk_size,
            distogram=distogram,
            phase=clock.begins,
        )
        names = ("positions", "plddt", "ptm", "pae", "distogram_logits")
        return {name: getattr(prediction, name) for name in names if getattr(prediction, name) is not None}

    def about(self) -> dict[str, Any]:
        from ..pair.tiles import Tiling

        tiling = Tiling.for_device(self._folder.device, self._configuration.chunk_size)
        named = {name: value for name, value in self._folder.describe().items() if name not in ("model", "source")}
        return {**named, "tiling": asdict(tiling)}


class PeersFold:
    """Folds with what a peer makes of the checkpoint; InputError where the device is none for it."""

    def __init__(self, configuration: Configuration, checkpoint: Checkpoint, device: torch.device) -> None:
        from .peers import PEERS

        self._num_recycles = configuration.num_recycles
        self._sequence = chain_of(configuration.length)[0]
        peer = PEERS[configuration.code]
        if reason := peer.refusal(device):
            raise InputError(reason)
        self._fold: StockFold = peer.load(checkpoint.path, device)

    def __call__(self, clock: PhaseClock, *, distogram: bool) -> Outputs:
        return self._fold(self._sequence, self._num_recycles)

    def about(self) -> dict[str, Any]:
        return {"linear_layers": self._fold.linear_layers}
