"""Write a stand-in for `facebook/esmfold_v1`: random weights of its shapes, laid out as transformers does today
(8.4 GB, one pytorch_model.bin, stem in float16, trunk in float32). `python -m benchmarks.stand_in FOLDER`

Memory and time do not depend on the values of the weights. What it folds is no protein.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import EsmConfig, EsmForProteinFolding

from benchmarks.training.export import write_tokenizer
from lowmem_fold.esmfold.published import esmfold_v1_config


def random_tensors(
    config: EsmConfig, seed: int = 0, device: torch.device | str = "cpu"
) -> Iterator[tuple[str, Tensor]]:
    """Name and values, on the CPU, of each tensor of a checkpoint: matrices normal, scaled by the root of their width;
    norms near 1, biases near 0. device: where they are drawn."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        model = EsmForProteinFolding(config)
    generator = torch.Generator(device).manual_seed(seed)
    for name, empty in model.named_parameters():
        values = torch.randn(empty.shape, generator=generator, device=device)
        values *= empty.shape[-1] ** -0.5 if empty.ndim > 1 else 0.1
        if name.endswith("weight") and empty.ndim == 1:
            values += 1.0
        yield name, (values.half() if name.startswith("esm.") else values).cpu()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name in model.state_dict())


def write(folder: Path, config: EsmConfig, device: torch.device | str = "cpu", safe: bool = False) -> None:
    """Write the folder: configuration, tokenizer, weights; the weights come last, under their name when whole.

    device: where they are drawn. safe: as model.safetensors, which is read faster.
    """
    folder.mkdir(parents=True)
    config.esmfold_config.fp16_esm = True
    config.save_pretrained(folder)
    write_tokenizer(folder)
    tensors, name = dict(random_tensors(config, device=device)), "model.safetensors" if safe else "pytorch_model.bin"
    save = save_file if safe else torch.save
    save(tensors, folder / f".{name}")
    os.replace(folder / f".{name}", folder / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="a folder that is not there yet")
    options = parser.parse_args()
    write(options.folder, esmfold_v1_config())


if __name__ == "__main__":
    main()
