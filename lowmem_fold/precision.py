"""What each part of a model is stored in and computed in: the policy, its presets, and what a device can have of it.

| preset | stem | sequence track of the trunk | pair modules, structure module, heads | pair state |
|---|---|---|---|---|
| fp32 | fp32 | fp32 | fp32 | fp32 |
| fp16 | fp16 | fp32 | fp32 | fp32 |
| bf16 | bf16 | bf16 | fp32 | fp32 |
| int8, int4, float8 | that | that | fp32 | fp32 |
| bnb-int8, bnb-nf4 | that | that | fp32 | fp32 |

Products of weights that are not fp32 are computed, unless the policy says otherwise, in

| part | CPU, MPS | CUDA |
|---|---|---|
| stem stored as bf16 | fp32 | bf16 (refused before Ampere) |
| stem stored as anything else but fp32 | fp32 | fp16 |
| sequence track stored as bf16 | fp32 | bf16 (refused before Ampere) |
| other parts, and the sequence track otherwise | fp32 | fp32 |

The residual streams of the trunk are float32 throughout. What a scheme does to activations: `quantization/formats.py`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .system.suggestions import did_you_mean

if TYPE_CHECKING:
    import torch

__all__ = ["PARTS", "PRESETS", "Part", "Precision", "parse_precision", "plain_words", "readable_part", "stem_alone"]

PARTS = {
    "stem": "the ESM-2 language model",
    "trunk": "the trunk's sequence track, nearly all of its weights",
    "pair-modules": "the trunk's pair updates",
    "structure": "structure module and heads",
}
WEIGHTS = ("fp32", "fp16", "bf16", "int8", "int4", "float8", "bnb-int8", "bnb-nf4")
FLOATS = ("fp32", "fp16", "bf16")
STATES = {"pair": "the pair state", "operand": "the operand of triangle multiplication"}

#: Longer names of parts and states, for readers.
_ALIASES = {
    "language-model": "stem",
    "sequence-track": "trunk",
    "pair-state": "pair",
    "triangle-operand": "operand",
}
_READABLE = {name: alias for alias, name in _ALIASES.items()}
_DEFAULTS = {"pair": "fp32", "operand": None}


@dataclass(frozen=True)
class Part:
    """How the weights of one part are stored, and what their products are computed in (None: of float32 weights
    float32, else as the device likes)."""

    weights: str = "fp32"
    compute: str | None = None

    def __str__(self) -> str:
        return self.weights if self.compute is None else f"{self.weights}/{self.compute}"


@dataclass(frozen=True)
class Precision:
    """The policy for a model.

    Attributes
    ----------
    stem, trunk, pair_modules, structure : Part
    pair : str
        Storage of the pair state: fp32, fp16 or bf16.
    operand : str, optional
        Storage of triangle multiplication's operand, the one other tensor of that size; None: as the pair state.
    include, exclude : tuple of str
        Globs on the names of modules. Of the linear layers those alone are stored as their part says that match an
        `include` (if there is any) and no `exclude`; the others stay in float32.
    """

    stem: Part = field(default_factory=Part)
    trunk: Part = field(default_factory=Part)
    pair_modules: Part = field(default_factory=Part)
    structure: Part = field(default_factory=Part)
    pair: str = "fp32"
    operand: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def part(self, name: str) -> Part:
        """The policy of a part, by its name in PARTS."""
        found: Part = getattr(self, name.replace("-", "_"))
        return found

    def check_globs(self, modules: Iterable[str]) -> None:
        """InputError for a glob that matches none of these names of linear layers: it would do nothing, in silence."""
        names = list(modules)
        for glob in self.unmatched_globs(names):
            raise InputError(f"precision {self}: {glob} matches no linear layer, such as {names[0]}")

    def unmatched_globs(self, modules: Iterable[str]) -> list[str]:
        """Globs that match none of these names."""
        names = list(modules)
        return [glob for glob in (*self.include, *self.exclude) if not any(fnmatchcase(name, glob) for name in names)]

    def of_linear(self, module: str, part: str) -> Part:
        """The policy of a linear layer, by its name in the model and the part that it belongs to."""
        chosen = not self.include or _matches(module, self.include)
        return self.part(part) if chosen and not _matches(module, self.exclude) else Part()

    def __str__(self) -> str:
        """The name of the preset, or what differs from fp32, as `parse_precision` reads it."""
        for name, preset in PRESETS.items():
            if self == preset:
                return name
        parts = [f"{name}={self.part(name)}" for name in PARTS if self.part(name) != Part()]
        states = [f"{name}={getattr(self, name)}" for name in STATES if getattr(self, name) != _DEFAULTS[name]]
        globs = [f"{name}={glob}" for name in ("include", "exclude") for glob in getattr(self, name)]
        return ",".join([*parts, *states, *globs])

    def to_json(self) -> str:
        """As one JSON object."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Precision:
        """The policy of a JSON object that `to_json` made.

        Raises
        ------
        InputError
            It is something else.
        """
        try:
            return cls.from_dict(json.loads(text))
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"not a precision policy: {text[:200]!r} ({error})") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Precision:
        """The policy of the object that JSON made of `to_json`."""
        names = {each.name for each in fields(cls)}
        if unknown := sorted(values.keys() - names):
            raise ValueError(f"unknown {', '.join(unknown)}")
        made: dict[str, Any] = {}
        for name, value in values.items():
            globs = name in ("include", "exclude")
            if globs and not isinstance(value, list | tuple):
                raise ValueError(f"{name} is not a list")
            made[name] = Part(**value) if isinstance(value, Mapping) else tuple(value) if globs else value
        return _checked(cls(**made), repr(dict(values)))

    def resolve(self, device: torch.device) -> Precision:
        """The same with the compute dtype of all that is not float32, and the triangle operand's storage, decided.

        Raises
        ------
        InputError
            The device has no such dtype, with what to ask for instead.
        """
        resolved = _changed(self, **{name: self._resolved(name, device) for name in PARTS})
        if resolved.operand is None and resolved.pair != "fp32":
            resolved = _changed(resolved, operand=resolved.pair)
        elif resolved.operand == resolved.pair == "fp32":
            resolved = _changed(resolved, operand=None)
        kinds = {resolved.pair, resolved.operand, *(resolved.part(name).compute for name in PARTS)}
        if "bf16" in kinds and not _has_bf16(device):
            raise InputError(f"precision {self}: {_name(device)} has no bf16 (Ampere and later have); use fp16 or int8")
        if device.type == "mps" and "float8" in {resolved.part(name).weights for name in PARTS}:
            raise InputError(f"precision {self}: mps has no float8; use int8, or --device cpu")
        return resolved

    def _resolved(self, name: str, device: torch.device) -> Part:
        part = self.part(name)
        return (
            part
            if part.compute or part.weights == "fp32"
            else replace(part, compute=_default_compute(name, part.weights, device))
        )


def _default_compute(name: str, weights: str, device: torch.device) -> str:
    if device.type != "cuda" or name not in ("stem", "trunk"):
        return "fp32"
    if weights == "bf16":
        return "bf16"
    return "fp16" if name == "stem" else "fp32"


def _has_bf16(device: torch.device) -> bool:
    """Of a card that is not here, for which a plan may be made, that it has."""
    import torch

    if device.type != "cuda" or not torch.cuda.is_available():
        return True
    return torch.cuda.get_device_capability(device) >= (8, 0)


def _name(device: torch.device) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs)


def _quantized(weights: str) -> Precision:
    return Precision(stem=Part(weights), trunk=Part(weights))


#: The same words in Python and on the command line.
PRESETS: dict[str, Precision] = {
    "fp32": Precision(),
    "fp16": Precision(stem=Part("fp16")),
    **{name: _quantized(name) for name in ("bf16", "int8", "int4", "float8", "bnb-int8", "bnb-nf4")},
}


def stem_alone(policy: Precision, elsewhere: Collection[str] = ()) -> Precision:
    """What a policy says of a language model by itself: the preset that stores the stem so, or `stem=`; and globs, but
    those that match layers `elsewhere`."""
    include, exclude = (
        tuple(glob for glob in globs if glob not in elsewhere) for globs in (policy.include, policy.exclude)
    )
    if policy.include and not include:
        return Precision()  # only layers elsewhere are stored in another form
    preset = next((each for each in PRESETS.values() if each.stem == policy.stem), Precision(stem=policy.stem))
    return replace(preset, include=include, exclude=exclude)


def parse_precision(text: str | Precision) -> Precision:
    """The policy of a preset's name, or spelled out: `stem=int8,trunk=fp32,pair=bf16`. In any case, but for globs.

    A preset may come first (`int8,pair=bf16`). `stem=int8/bf16` says what to compute in as well.
    `exclude=esm.encoder.layer.0.*` leaves modules in float32, `include=` all others; both may be given several times.

    Raises
    ------
    InputError
        Names the word that is not known.
    """
    if isinstance(text, Precision):
        return text
    words = plain_words(text).split(",")
    policy = PRESETS["fp32"]
    if words and words[0] in PRESETS:
        policy, words = PRESETS[words[0]], words[1:]
    for word in words:
        policy = _with_word(policy, word, text)
    return _checked(policy, text)


def readable_part(name: str) -> str:
    """Return the longer name of a part or state where it has one, for readers; else the name itself."""
    return _READABLE.get(name, name)


def plain_words(text: str) -> str:
    """Return a precision's text in lower case and without spaces, but for its globs."""
    return ",".join(map(_plain_word, text.split(",")))


def _plain_word(word: str) -> str:
    name, equals, value = word.strip().partition("=")
    name = name.strip().lower()
    value = value.strip() if name in ("include", "exclude") else value.strip().lower()
    return f"{_ALIASES.get(name, name) if equals else name}{equals}{value}"


def _with_word(policy: Precision, word: str, text: str) -> Precision:
    name, equals, value = word.partition("=")
    if not equals:
        raise InputError(_unknown_precision(word, text))
    if name in PARTS:
        weights, slash, compute = value.partition("/")
        return _changed(policy, **{name: Part(weights, compute if slash else None)})
    if name in STATES:
        return _changed(policy, **{name: value})
    if name in ("include", "exclude"):
        return _changed(policy, **{name: (*getattr(policy, name), value)})
    names = [*map(readable_part, (*PARTS, *STATES)), "include", "exclude"]
    meant = did_you_mean(name, [*names, *_READABLE])
    raise InputError(f"precision {text!r}: unknown part {name!r}; choose from: {', '.join(names)}.{meant}")


def _unknown_precision(word: str, text: str) -> str:
    if word in PRESETS:
        return f"precision {text!r}: {word!r} has to come first, then PART=FORMAT, such as {word},pair-state=fp16"
    where = "" if word == plain_words(text) else f" in {text!r}"
    return f"unknown precision {word!r}{where}; choose from: {', '.join(PRESETS)}.{did_you_mean(word, PRESETS)}"


def _changed(policy: Precision, **values: Any) -> Precision:
    return replace(policy, **{name.replace("-", "_"): value for name, value in values.items()})


def _checked(policy: Precision, text: str) -> Precision:
    checks: list[tuple[str, str | None, tuple[str, ...]]] = []
    for name in PARTS:
        part = policy.part(name)
        checks += [(name, part.weights, WEIGHTS), (name, "fp32" if part.compute is None else part.compute, FLOATS)]
    checks += [("pair", policy.pair, FLOATS), ("operand", policy.operand or "fp32", FLOATS)]
    for name, value, allowed in checks:
        if value not in allowed:
            raise InputError(f"precision {text!r}: {readable_part(name)} can be {', '.join(allowed)}, not {value!r}")
    for name in ("include", "exclude"):
        if not all(isinstance(glob, str) and glob for glob in getattr(policy, name)):
            raise InputError(f"precision {text!r}: {name} needs a glob on the names of modules, such as esm.encoder.*")
    return policy
