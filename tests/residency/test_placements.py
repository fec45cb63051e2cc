"""What a placement holds, and who can have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lowmem_fold.bench.models import small_config
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.checkpoints.loader import load_model, planned_model
from lowmem_fold.checkpoints.saving import save_quantized
from lowmem_fold.checkpoints.weight_files import WeightFiles
from lowmem_fold.errors import InputError
from lowmem_fold.esmfold.family import FAMILY
from lowmem_fold.esmfold.modules import ESMFOLD
from lowmem_fold.folder import Folder
from lowmem_fold.loading import load
from lowmem_fold.planning.facts import _PublishedFiles
from lowmem_fold.precision import PRESETS, parse_precision
from lowmem_fold.quantization.registry import unavailable
from lowmem_fold.residency import (
    PLACEMENTS,
    Held,
    WeightLayout,
    held_bytes,
    load_placed,
    placing,
    refusal,
    weight_layout,
)

CPU = torch.device("cpu")
PLAIN = ("fp32", "fp16", "bf16")
LAYOUT = WeightLayout(fixed=7, stem=(100, 110, 90), trunk=(40, 50), stem_converted=(60, 60, 60), trunk_converted=(0, 3))


@pytest.fixture(params=list(PRESETS))
def precision(request: pytest.FixtureRequest) -> str:
    if reason := unavailable(parse_precision(request.param).stem.weights, CPU):
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(scope="module")
def quantized(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of each precision, written when it is asked for."""

    class Folders(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            folder = tmp_path_factory.mktemp("quantized") / name
            source, policy = find_checkpoint(str(sound)), parse_precision(name)
            save_quantized(load_model(source, policy.resolve(CPU), CPU, ESMFOLD), source, policy, folder)
            self[name] = folder
            return folder

    return Folders()


def test_held_bytes() -> None:
    assert [held_bytes(LAYOUT, "resident", kind) for kind in ("cpu", "cuda")] == [Held(397, 397, 0)] * 2
    assert held_bytes(LAYOUT, "staged", "cuda") == Held(307, 97, 390)
    assert held_bytes(LAYOUT, "streamed", "cuda") == Held(227, 107, 390)
    assert held_bytes(LAYOUT, "staged", "cpu") == Held(187, 10, 0)
    assert held_bytes(LAYOUT, "streamed", "cpu") == Held(127, 13, 0)


def test_layout_of_the_published_shapes_counts_what_is_loaded(sound: Path, precision: str) -> None:
    """Against the tensors of a loaded model, counted in another way."""
    checkpoint, policy = find_checkpoint(str(sound)), parse_precision(precision).resolve(CPU)
    layout = weight_layout(planned_model(checkpoint, policy, ESMFOLD), WeightFiles(checkpoint.path))
    model = load_model(checkpoint, policy, CPU, ESMFOLD)
    assert layout.stem == tuple(bytes_of(layer) for layer in model.esm.encoder.layer)
    assert layout.trunk == tuple(bytes_of(block) for block in model.trunk.blocks)
    assert layout.fixed + sum(layout.stem) + sum(layout.trunk) == pytest.approx(bytes_of(model), abs=5000)  # buffers
    assert layout.fixed + sum(layout.stem) + sum(layout.trunk) <= bytes_of(model)


def bytes_of(module: nn.Module) -> int:
    """Of parameters and buffers."""
    return sum(tensor.nbytes for tensor in module.state_dict().values()) or sum(p.nbytes for p in module.parameters())


def test_what_the_file_holds_in_another_dtype_is_converted(sound: Path) -> None:
    """The files of this model are float32."""
    checkpoint, files = find_checkpoint(str(sound)), WeightFiles(sound)
    as_it_is = weight_layout(planned_model(checkpoint, parse_precision("fp32").resolve(CPU), ESMFOLD), files)
    assert set(as_it_is.stem_converted + as_it_is.trunk_converted) == {0}
    half = weight_layout(planned_model(checkpoint, parse_precision("stem=fp16").resolve(CPU), ESMFOLD), files)
    assert all(0 < part < whole for part, whole in zip(half.stem_converted, half.stem, strict=True))
    assert set(half.trunk_converted) == {0}


def test_published_files_hold_the_stem_in_half_precision(sound: Path) -> None:
    planned = planned_model(find_checkpoint(str(sound)), parse_precision("fp32"), ESMFOLD)
    layout = weight_layout(planned, _PublishedFiles(ESMFOLD, FAMILY.published_config()))
    assert layout.stem_converted == layout.stem and set(layout.trunk_converted) == {0}


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_precision_has_every_placement_on_a_card(sound: Path, precision: str, placement: str) -> None:
    checkpoint = find_checkpoint(str(sound))
    planned = planned_model(checkpoint, parse_precision(precision).resolve(CPU), ESMFOLD)
    assert refusal(planned, WeightFiles(sound), placement, "cuda") is None


def test_on_a_cpu_quantized_weights_come_out_of_a_file_that_holds_them(
    sound: Path, quantized: dict[str, Path], precision: str
) -> None:
    from_source = load(str(sound), precision=precision, device="cpu")
    assert from_source.placements == (PLACEMENTS if precision in PLAIN else ("resident",))
    assert load(str(quantized[precision]), device="cpu").placements == PLACEMENTS
    if precision not in PLAIN:
        with pytest.raises(InputError, match="lowmem-fold quantize"):
            load(str(sound), precision=precision, device="cpu", placement="streamed")
        with pytest.raises(InputError, match="cannot be staged"):
            from_source.place("staged")
        assert from_source.placement == "resident" and from_source.fold("MKV", num_recycles=0)


def test_an_unknown_placement_is_refused(sound: Path) -> None:
    with pytest.raises(InputError, match="unknown placement 'swapped'; choose from: resident, staged, streamed"):
        load(str(sound), device="cpu", placement="swapped")


@pytest.mark.parametrize("placement", ["staged", "streamed"])
def test_folds_as_resident_does(quantized: dict[str, Path], precision: str, placement: str) -> None:
    folds_as_resident(quantized[precision], None, placement)


@pytest.mark.parametrize("plain", PLAIN)
@pytest.mark.parametrize("placement", ["staged", "streamed"])
def test_folds_an_ordinary_model_as_resident_does(sound: Path, plain: str, placement: str) -> None:
    folds_as_resident(sound, plain, placement)


def folds_as_resident(model: Path, precision: str | None, placement: str) -> None:
    expected = load(str(model), precision=precision, device="cpu").fold("MKVLAA:GWYHC", num_recycles=2)
    folder = load(str(model), precision=precision, device="cpu", placement=placement)
    for _ in range(2):
        same(folder.fold("MKVLAA:GWYHC", num_recycles=2), expected)
    states = folder.stem_states(["MKVLAA:GWYHC", "MKV"])
    same(folder.fold("MKVLAA:GWYHC", num_recycles=2, states=states[0]), expected, exact=False)


def same(prediction: object, expected: object, exact: bool = True) -> None:
    for name in ("positions", "plddt", "pae", "ptm"):
        found, wanted = (torch.as_tensor(getattr(p, name)) for p in (prediction, expected))
        torch.testing.assert_close(found, wanted, rtol=0, atol=0 if exact else 1e-3)


def test_place_changes_where_weights_live(sound: Path) -> None:
    folder = load(str(sound), device="cpu")
    expected = folder.fold("MKVLAAGWYHC", num_recycles=1)
    for placement in ("streamed", "staged", "resident"):
        folder.place(placement)
        assert folder.describe()["placement"] == placement
        assert folder.describe()["weights_wait_in"] == ("none" if placement == "resident" else "file")
        same(folder.fold("MKVLAAGWYHC", num_recycles=1), expected)


def test_a_placement_that_fails_leaves_the_one_before(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load(str(sound), device="cpu")
    expected = folder.fold("MKVLA", num_recycles=0)

    def short(*arguments: object) -> object:
        if arguments[3] == "streamed":
            raise MemoryError("no room")
        return load_placed(*arguments)

    monkeypatch.setattr("lowmem_fold.loading.load_placed", short)
    with pytest.raises(MemoryError, match="no room"):
        folder.place("streamed")
    assert folder.placement == "resident"
    same(folder.fold("MKVLA", num_recycles=0), expected)


# --- what is held


def with_bytes(layers: nn.ModuleList) -> list[int]:
    """The numbers of the layers that have bytes."""
    return [n for n, layer in enumerate(layers) if not all(p.is_meta for p in layer.parameters())]


def test_staged_holds_one_stack(sound: Path) -> None:
    folder = load(str(sound), device="cpu", placement="staged")
    stem, trunk = folder.model.esm.encoder.layer, folder.model.trunk.blocks
    assert (with_bytes(stem), with_bytes(trunk)) == ([], [])
    folder.stem_states(["MKV"])
    assert (with_bytes(stem), with_bytes(trunk)) == ([0, 1, 2], [])
    folder.fold("MKV", num_recycles=0)
    assert (with_bytes(stem), with_bytes(trunk)) == ([], [0, 1])


def test_streamed_layers_come_one_at_a_time_and_go(sound: Path) -> None:
    folder = load(str(sound), device="cpu", placement="streamed")
    layers = folder.model.esm.encoder.layer
    seen = []
    for number, layer in enumerate(folder._loaded._weights.residency.stem()):
        assert layer is layers[number]
        seen.append(with_bytes(layers))
    assert seen == [[0], [1], [2]] and with_bytes(layers) == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux alone tells what is mapped")
def test_a_file_that_holds_the_form_is_not_copied(sound: Path) -> None:
    """The tensors of a streamed layer lie in the mapped file."""
    folder = load(str(sound), device="cpu", placement="streamed")
    for stack in (folder._loaded._weights.residency.stem(), folder._loaded._weights.residency.trunk()):
        for layer in stack:
            for parameter in layer.parameters():
                assert mapped_at(parameter.data_ptr()) == str(sound / "model.safetensors")


def mapped_at(address: int) -> str:
    """The file that is mapped to an address of this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if start <= address < end:
            return line.split(maxsplit=5)[5] if len(line.split()) > 5 else ""
    raise ValueError("not mapped")


def test_an_error_amid_the_layers_leaves_nothing_behind(sound: Path) -> None:
    folder = load(str(sound), precision="fp16", device="cpu", placement="streamed")
    expected = folder.fold("MKVLA", num_recycles=0)
    broken = folder.model.trunk.blocks[1].mlp_pair
    hook = broken.mlp[0].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(MemoryError("now")))
    with pytest.raises(MemoryError, match="now"):
        folder.fold("MKVLA", num_recycles=0)
    assert with_bytes(folder.model.trunk.blocks) == []
    hook.remove()
    same(folder.fold("MKVLA", num_recycles=0), expected)


def test_the_stem_is_visited_once_for_many_records(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load(str(sound), device="cpu", placement="streamed")
    fetched = []
    source = folder._loaded._weights.residency._stem._transport.source
    read = source.tensors
    monkeypatch.setattr(source, "tensors", lambda number: (fetched.append(number), read(number))[1])
    sequences = ["MKVLA" * n for n in (3, 100, 150, 7)]  # more than one group
    states = folder.stem_states(sequences)
    assert fetched == [0, 1, 2]
    assert [tuple(state.shape) for state in states] == [(len(s), 96) for s in sequences]
    for sequence, state in zip(sequences, states, strict=True):
        torch.testing.assert_close(state, folder.stem_states([sequence])[0], rtol=1e-4, atol=1e-5)


def test_small_config_is_what_these_tests_count_on() -> None:
    config = small_config()
    assert (config.num_hidden_layers, config.esmfold_config.trunk.num_blocks) == (3, 2)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "bnb-nf4"])
def test_weights_in_one_piece_fold_the_same(sound: Path, precision: str) -> None:
    """As CUDA has them: one buffer for each stack of layers. Made on the CPU here."""
    resolved = parse_precision(precision).resolve(CPU)
    if reason := unavailable(resolved.stem.weights, CPU):
        pytest.skip(reason)
    expected = load(str(sound), precision=precision, device="cpu")
    building = placing.Building(find_checkpoint(str(sound)), resolved, ESMFOLD)
    placing._fill_in_one_piece(building, building.open(), CPU)
    found = Folder(building.model, expected.checkpoint, expected.precision)
    positions = [folder.fold("MKTAYIAKQR", num_recycles=1).positions for folder in (found, expected)]
    np.testing.assert_array_equal(*positions)
    for stack in (building.model.esm.encoder.layer, building.model.trunk.blocks):
        weights = [each for layer in stack for each in (*layer.parameters(), *layer.buffers()) if each.ndim]
        assert len({each.untyped_storage().data_ptr() for each in weights}) == 1
