"""Layers that wait in host memory or in a file, and come to a device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.checkpoints.loader import Building, load_model
from lowmem_fold.errors import InputError
from lowmem_fold.esmfold.modules import ESMFOLD
from lowmem_fold.loading import load
from lowmem_fold.precision import parse_precision
from lowmem_fold.quantization.registry import unavailable
from lowmem_fold.residency import placing, sources
from lowmem_fold.residency.layers import StagedLayers, StreamedLayers
from lowmem_fold.residency.moved import MovedLayer
from lowmem_fold.residency.placements import stacks
from lowmem_fold.residency.sources import FileSource, HostSource, Source
from lowmem_fold.residency.transport import DeviceTransport

CPU = torch.device("cpu")


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in (*module.named_parameters(), *module.named_buffers())}


PLAIN, QUANTIZED = ("fp32", "fp16", "bf16"), ("int8", "int4", "float8", "bnb-int8", "bnb-nf4")


def needs(precision: str) -> str:
    if reason := unavailable(parse_precision(precision).stem.weights, CPU):
        pytest.skip(reason)
    return precision


def stem_source(folder: Path, precision: str, kind: str) -> tuple[Source, Building]:
    building = Building(find_checkpoint(str(folder)), parse_precision(precision).resolve(CPU), ESMFOLD)
    files = building.open()
    building.plan()
    stem, _ = stacks(building.model)
    if kind == "host":
        return placing._host_source(building, files, CPU, stem), building
    return FileSource([MovedLayer.of(*layer) for layer in stem], files), building


@pytest.mark.parametrize(
    ("kind", "precision"), [*(("host", name) for name in PLAIN + QUANTIZED), *(("file", name) for name in PLAIN)]
)
@pytest.mark.parametrize("layers", [StagedLayers, StreamedLayers])
def test_what_arrives_is_what_loading_makes(sound: Path, precision: str, kind: str, layers: type) -> None:
    """On the way that other devices take, here to the CPU."""
    needs(precision)
    expected = load_model(
        find_checkpoint(str(sound)), parse_precision(precision).resolve(CPU), CPU, ESMFOLD
    ).esm.encoder.layer
    source, building = stem_source(sound, precision, kind)
    stack = layers(DeviceTransport(source, CPU))
    for _ in range(2):
        for number, layer in enumerate(stack):
            found, wanted = state(layer), state(expected[number])
            assert found.keys() == wanted.keys()
            for name, tensor in wanted.items():
                assert found[name].dtype == tensor.dtype
                assert torch.equal(found[name].view(torch.uint8), tensor.view(torch.uint8)), name
        stack.release()
    assert all(p.is_meta for p in building.model.esm.encoder.layer.parameters())


def test_two_places_take_turns(sound: Path) -> None:
    source, _ = stem_source(sound, "fp32", "host")
    addresses = [next(layer.parameters()).data_ptr() for layer in StreamedLayers(DeviceTransport(source, CPU))]
    assert addresses[0] == addresses[2] != addresses[1]


def test_a_layer_is_one_buffer(sound: Path) -> None:
    source, _ = stem_source(sound, "fp32", "host")
    layer = source.layers[0]
    buffer = source.packed(0, None)
    assert buffer.nbytes == layer.nbytes and layer.nbytes % 256 == 0
    starts = [view.data_ptr() - buffer.data_ptr() for view in layer.views(buffer)]
    assert starts == sorted(starts) and all(start % 256 == 0 for start in starts)


def test_memory_that_cannot_be_pinned_is_said(
    sound: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    building = Building(find_checkpoint(str(sound)), parse_precision("fp32"), ESMFOLD)
    files = building.open()
    answers = iter([True, False])
    monkeypatch.setattr(sources, "_pinned", lambda buffer: next(answers))
    source = HostSource(pin=True)
    assert source.kind == "pinned host memory"
    for prefix, layer in stacks(building.model)[0]:
        building.fill(files, CPU, prefix)
        source.add(MovedLayer.of(prefix, layer))
    assert source.kind == "host memory (not all of it could be pinned)"
    assert [r.message for r in caplog.records] == [
        "the system pins no more host memory for weights: copies to the device will be slower"
    ]


@pytest.mark.parametrize(("free", "expected"), [(10**9, HostSource), (1000, FileSource), (None, HostSource)])
def test_weights_wait_in_the_file_where_host_memory_is_short(
    sound: Path, free: int | None, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    building = Building(find_checkpoint(str(sound)), parse_precision("fp32"), ESMFOLD)
    files = building.open()
    building.plan()
    found = placing._sources(building, files, torch.device("mps"), 10**6, free)
    assert {type(source) for source in found} == {expected}


@pytest.mark.parametrize("precision", QUANTIZED)
def test_quantized_weights_that_can_wait_nowhere_are_refused(sound: Path, precision: str) -> None:
    needs(precision)
    building = Building(find_checkpoint(str(sound)), parse_precision(precision).resolve(CPU), ESMFOLD)
    files = building.open()
    building.plan()
    with pytest.raises(InputError, match="quantized ones can wait in a file instead"):
        placing._sources(building, files, torch.device("mps"), 10**6, 1000)


@pytest.mark.gpu
@pytest.mark.parametrize("host_memory", [None, "1KB"], ids=["pinned", "file"])
@pytest.mark.parametrize("placement", ["staged", "streamed"])
def test_on_a_card(sound: Path, placement: str, host_memory: str | None) -> None:
    """The same fold, and no more than two layers of the stem at a time."""
    expected = load(str(sound), device="cuda").fold("MKVLAA:GWYHC", num_recycles=2)
    folder = load(str(sound), device="cuda", placement=placement, host_memory=host_memory)
    assert folder.describe()["weights_wait_in"] == ("file" if host_memory else "pinned host memory")
    for _ in range(3):
        found = folder.fold("MKVLAA:GWYHC", num_recycles=2)
        for name in ("positions", "plddt", "pae"):
            assert torch.equal(torch.as_tensor(getattr(found, name)), torch.as_tensor(getattr(expected, name)))
