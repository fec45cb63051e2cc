"""What else folds with ESMFold's weights, to be measured beside ours: stock transformers, and what is put around it.

All of them run the forward pass of transformers, whose pair state is float32, on one chain. Except where its line says
so, a peer has all weights on the device and its trunk unchunked.

- `stock fp32`: all weights in float32.
- `stock fp16 stem`: the language model in float16, as the published configuration has it, on a CPU too.
- `stock chunk_size 64`: float32, with triangle attention in chunks of 64 rows.
- `the article's recipe`: optimum-quanto's int8 through transformers' `QuantoConfig(weights="int8")`. Every linear
  layer is quantized, those of the pair track, the structure module and the heads too (201 of 201 in the demo model);
  what they compute in, and all other weights, is float32. With the stem's other weights left in float16, as the
  published configuration has them, the first fold fails (transformers 5.23, optimum-quanto 0.2.7: quanto's layers
  answer in float32, which the norm after them refuses), so that here the stem is float32 beside its int8 layers.
- `bitsandbytes 8-bit through from_pretrained`: `BitsAndBytesConfig(load_in_8bit=True)`. It replaces `nn.Linear` alone,
  not the subclass that triangle updates, structure module and heads are made of (87 of 201 layers in the demo model),
  and quantizes the inputs of these layers too.
- `accelerate cpu_offload`: float32 weights in main memory, each module's copied to the card when it runs and dropped
  after, in every pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, first_line
from ..sequences.residues import RESIDUE_ORDER

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["PEERS", "Peer", "StockFold"]

_CHUNK_ROWS = 64


class StockFold:
    """A loaded peer: called with a sequence and a number of recycles, it folds.

    Attributes
    ----------
    model : EsmForProteinFolding
    linear_layers : dict of str to int
        How many linear layers are of each class.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self.model, self._device = model, device
        self.linear_layers = dict(Counter(kind for kind in _kinds(model) if "Linear" in kind))

    def __call__(self, sequence: str, num_recycles: int) -> dict[str, Any]:
        """Fold one chain.

        Parameters
        ----------
        sequence : str
            L letters, the 20 amino acids and X (whose atoms stock leaves at the origin).
        num_recycles : int
            Passes after the first.

        Returns
        -------
        dict
            Outputs as `bench.accuracy` has them, of numpy.

        Raises
        ------
        InputError
            The sequence is more than one chain, or holds what is no residue.
        """
        import torch

        aatype = torch.tensor([_types(sequence)], device=self._device)
        with torch.no_grad():
            return _outputs(self.model(aatype, num_recycles=num_recycles))


@dataclass(frozen=True)
class Peer:
    """One way to fold that is not ours.

    Attributes
    ----------
    prepared : callable
        From a model's folder and a device to the model on it.
    refused : callable
        Why it cannot run on a device, or None.
    """

    prepared: Callable[[Path, torch.device], nn.Module]
    refused: Callable[[torch.device], str | None]

    def refusal(self, device: str | torch.device) -> str | None:
        """Why it cannot run on a device that is here; None if it can."""
        import torch

        return self.refused(torch.device(device))

    def load(self, model_folder: str | Path, device: str | torch.device) -> StockFold:
        """The model of a folder in Hugging Face layout, ready to fold on a device that does not refuse it."""
        import torch

        from ..checkpoints.container import quiet_transformers

        target = torch.device(device)
        with quiet_transformers():
            return StockFold(self.prepared(Path(model_folder), target), target)


def _kinds(model: nn.Module) -> Iterator[str]:
    return (type(module).__name__ for module in model.modules())


def _types(sequence: str) -> list[int]:
    if ":" in sequence:
        raise InputError("stock transformers folds one chain; this sequence has a ':'")
    if unknown := sorted(set(sequence) - RESIDUE_ORDER.keys()):
        raise InputError(f"{''.join(unknown)!r} in the sequence: stock transformers has no token for it")
    if not sequence:
        raise InputError("the sequence is empty")
    return [RESIDUE_ORDER[letter] for letter in sequence]


def _outputs(output: Any) -> dict[str, Any]:
    """Of the one chain in a batch, on the CPU."""
    from transformers.models.esm.openfold_utils import atom14_to_atom37

    def array(tensor: torch.Tensor) -> np.ndarray:
        return tensor.float().cpu().numpy()

    return {
        "positions": array(atom14_to_atom37(output.positions[-1], output))[0],
        "plddt": 100 * array(output.plddt)[0, :, 1],
        "ptm": float(output.ptm),
        "pae": array(output.predicted_aligned_error)[0],
        "distogram_logits": array(output.distogram_logits)[0],
    }


# --- the models


def _from_pretrained(folder: Path, *, half_stem: bool, **options: Any) -> nn.Module:
    import torch
    from transformers import EsmConfig, EsmForProteinFolding

    config = EsmConfig.from_pretrained(folder)
    config.esmfold_config.fp16_esm = half_stem
    model = EsmForProteinFolding.from_pretrained(folder, config=config, dtype=torch.float32, **options)
    model.trunk.set_chunk_size(None)
    return model.eval().requires_grad_(False)


def _stock(folder: Path, device: torch.device) -> nn.Module:
    return _from_pretrained(folder, half_stem=False).to(device)


def _half_stem(folder: Path, device: torch.device) -> nn.Module:
    return _from_pretrained(folder, half_stem=True).to(device)


def _chunked(folder: Path, device: torch.device) -> nn.Module:
    model = _stock(folder, device)
    model.trunk.set_chunk_size(_CHUNK_ROWS)
    return model


def _quanto(folder: Path, device: torch.device) -> nn.Module:
    from transformers import QuantoConfig

    from ..quantization import quanto

    quanto.backend()  # without its warnings
    return _from_pretrained(
        folder, half_stem=False, quantization_config=QuantoConfig(weights="int8"), device_map={"": device}
    )


def _bitsandbytes(folder: Path, device: torch.device) -> nn.Module:
    from transformers import BitsAndBytesConfig

    from ..quantization import bnb

    bnb.backend()  # without its warnings
    options = {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), "device_map": {"": device}}
    return _from_pretrained(folder, half_stem=False, **options)


def _offloaded(folder: Path, device: torch.device) -> nn.Module:
    from accelerate import cpu_offload

    model: nn.Module = cpu_offload(_from_pretrained(folder, half_stem=False), execution_device=device)
    return model


# --- where they cannot run


def _nowhere(device: torch.device) -> None:
    """It runs wherever torch does."""


def _no_quanto(device: torch.device) -> str | None:
    from ..quantization.registry import unavailable

    return unavailable("int8", device)


def _no_bitsandbytes(device: torch.device) -> str | None:
    """Its package is missing, or cannot quantize activations on the device: tried out, since versions differ."""
    import torch

    from ..quantization import bnb
    from ..quantization.registry import unavailable

    if missing := unavailable("bnb-int8", device):
        return missing
    try:
        bnb.backend().functional.int8_vectorwise_quant(torch.ones(1, 2, 4, dtype=torch.float16, device=device))
    except Exception as error:  # each back end of bitsandbytes raises its own
        return f"bitsandbytes cannot quantize activations of three dimensions on {device} ({first_line(error)})"
    return None


def _no_offloading(device: torch.device) -> str | None:
    if device.type == "cuda":
        return None
    return f"offloading brings weights from main memory to a card; {device} has no memory of its own"


PEERS: dict[str, Peer] = {
    "stock fp32": Peer(_stock, _nowhere),
    "stock fp16 stem": Peer(_half_stem, _nowhere),
    "stock chunk_size 64": Peer(_chunked, _nowhere),
    "the article's recipe": Peer(_quanto, _no_quanto),
    "bitsandbytes 8-bit through from_pretrained": Peer(_bitsandbytes, _no_bitsandbytes),
    "accelerate cpu_offload": Peer(_offloaded, _no_offloading),
}
