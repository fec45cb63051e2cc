"""Show versions, devices, memory and optional packages; with --model, how its weights would be stored.

No weights are loaded: with --precision and --device it shows what `lowmem-fold fold` would make of the model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from typing import Any

from ..errors import InputError
from ..precision import readable_part
from ..system.devices import device_word
from ..system.optional_packages import install_command
from ..system.terminal import say
from ..system.versions import environment_versions, installed_version
from .main import OK

__all__ = ["add_arguments", "collect", "run", "weights", "weights_table"]

_GIB = 2**30

#: Extra of the package, and the distributions it installs with what they are for.
EXTRAS = {
    "quanto": {"optimum-quanto": "makes int8, int4 and float8 weights (using them needs nothing)"},
    "bnb": {"bitsandbytes": "makes bnb-int8 and bnb-nf4 weights (using them needs nothing)"},
    "hdf5": {"h5py": "writes embeddings as .h5"},
    "viz": {"py3Dmol": "structures in notebooks", "matplotlib": "pictures of structures and measurements"},
    "bench": {"matplotlib": "pictures of structures and measurements", "psutil": "peak memory on Windows"},
    "completion": {"shtab": "completion of commands and options in a shell"},
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "-m",
        "--model",
        metavar="M",
        help="folding or language model, on the Hugging Face hub or a local folder, or demo: show how it is stored",
    )
    parser.add_argument(
        "--precision", metavar="P", help="with --model: how its weights are to be stored, as for lowmem-fold fold"
    )
    parser.add_argument(
        "--device",
        metavar="D",
        type=device_word,
        default="auto",
        help="with --model: the device to use it on, as for lowmem-fold fold [auto]",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, sizes in bytes")


def run(arguments: argparse.Namespace) -> int:
    """Print what this machine and installation have, or what a model would be stored in; returns the exit code."""
    if arguments.model is None and arguments.precision is not None:
        raise InputError("--precision needs --model: it says how that model's weights would be stored")
    if arguments.model is None:
        facts = collect()
        say(json.dumps(facts, indent=1) if arguments.json else _as_text(facts))
    else:
        about = weights(arguments.model, arguments.precision, arguments.device)
        say(json.dumps(about, indent=1) if arguments.json else _weights_text(about))
    return OK


def weights(model: str, precision: str | None, device: str) -> dict[str, Any]:
    """How a model's weights would be stored: requested and resolved precision, and the `inventory`; JSON-able."""
    from ..backbones.loading import make_blueprint
    from ..checkpoints.checkpoint import find_checkpoint
    from ..checkpoints.description import description
    from ..checkpoints.inventory import inventory
    from ..checkpoints.loader import planned_model
    from ..families.registry import family_of
    from ..loading import choose_precision
    from ..system.devices import find_device

    if family_of(find_checkpoint(model)) is None:
        blueprint = make_blueprint(model, precision, device=device)
        return blueprint.describe(inventory(blueprint.planned()))
    target = find_device(device)
    checkpoint, family, asked, resolved = choose_precision(model, precision, target)
    return description(planned_model(checkpoint, resolved, family.architecture), checkpoint, asked, target)


def _weights_text(about: dict[str, Any]) -> str:
    names = ("family", "source", "fingerprint", "device", "attention", "precision", "resolved_precision")
    head = [f"  {name:<19} {about[name]}" for name in names if name in about]
    return "\n".join([about["model"], *head, "", weights_table(about["weights"])])


def weights_table(found: dict[str, dict[str, Any]]) -> str:
    """An `inventory` for a terminal."""
    lines = [f"  {'component':<17}{'GiB':>8}{'bits/weight':>13}  formats (number of weights)"]
    for part, about in found.items():
        formats = ", ".join(f"{name} ({count:,})" for name, count in about["formats"].items())
        lines.append(
            f"  {readable_part(part):<17}{about['bytes'] / _GIB:>8.3f}{about['bits_per_weight']:>13.2f}  {formats}"
        )
    return "\n".join(lines)


def collect() -> dict[str, Any]:
    """Facts about the installation and the machine, JSON-able, sizes in bytes; imports torch."""
    from ..memory.capacity import host_capacity

    host = host_capacity()
    return {
        "versions": environment_versions(),
        "platform": platform.platform(),
        "cpu_cores": _usable_cores(),
        "memory": {
            "total_bytes": host.total_bytes,
            "free_bytes": host.free_bytes,
            "limited_by": host.limited_by,
        },
        "devices": _devices(),
        "extras": {extra: _packages(packages) for extra, packages in EXTRAS.items()},
    }


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _packages(packages: dict[str, str]) -> dict[str, dict[str, str | None]]:
    return {name: {"version": installed_version(name), "adds": adds} for name, adds in packages.items()}


def _devices() -> list[dict[str, Any]]:
    """What ``--device`` accepts here."""
    import torch

    devices = [_cuda_device(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append({"device": "mps", "name": "Apple GPU", "total_bytes": None, "free_bytes": None})
    return [*devices, {"device": "cpu", "name": platform.processor() or platform.machine()}]


def _cuda_device(index: int) -> dict[str, Any]:
    import torch

    from ..memory.capacity import cuda_capacity

    capacity = cuda_capacity(index)
    return {
        "device": f"cuda:{index}",
        "name": torch.cuda.get_device_name(index),
        "total_bytes": capacity.total_bytes,
        "free_bytes": capacity.free_bytes,
    }


def _as_text(facts: dict[str, Any]) -> str:
    versions = [f"  {name:<14} {version or 'not installed'}" for name, version in facts["versions"].items()]
    packages = {name: about for group in facts["extras"].values() for name, about in group.items()}
    extras = [_package_line(name, about) for name, about in packages.items()]
    if missing := [name for name, about in packages.items() if about["version"] is None]:
        extras.append(f"  {install_command(*missing)}")
    machine = [
        f"  {facts['platform']}, {facts['cpu_cores']} CPU cores",
        f"  memory  {_sizes(facts['memory'])}",
        *(f"  {device['device']:<7} {device['name']}{_device_sizes(device)}" for device in facts["devices"]),
    ]
    blocks = {"versions": versions, "machine": machine, "optional packages": extras}
    return "\n\n".join("\n".join([title, *lines]) for title, lines in blocks.items())


def _package_line(name: str, about: dict[str, str | None]) -> str:
    return f"  {name:<14} {about['version'] or 'not installed':<14} {about['adds']}"


def _device_sizes(device: dict[str, Any]) -> str:
    return f", {_sizes(device)}" if device.get("total_bytes") else ""


def _sizes(about: dict[str, Any]) -> str:
    if about["total_bytes"] is None:
        return "not known"
    free = "" if about["free_bytes"] is None else f", {about['free_bytes'] / _GIB:.1f} GiB free"
    limit = f" (limit of {about['limited_by']})" if about.get("limited_by") else ""
    return f"{about['total_bytes'] / _GIB:.1f} GiB{free}{limit}"
