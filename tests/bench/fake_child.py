"""Measures nothing, and ends as the length of the configuration says: a script in the place of `bench.measure`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

from lowmem_fold.bench.configuration import Configuration
from lowmem_fold.bench.measure import BENCHMARK
from lowmem_fold.bench.records import Measurement
from lowmem_fold.bench.references import reference_path, save_outputs
from lowmem_fold.checkpoints.checkpoint import find_checkpoint
from lowmem_fold.system.versions import package_version

OK, OOM, REFUSED, FAILED, CRASH, KILLED, SLOW, MUTE, LATE = range(1, 10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--references", type=Path)
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    configuration = Configuration.from_dict(json.loads(sys.stdin.read()))
    length = configuration.length
    if length == SLOW:
        time.sleep(600)
    if length == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if length == CRASH:
        print("a line before\nsegmentation of a kind", file=sys.stderr)
        sys.exit(3)
    if length == MUTE:
        return
    checkpoint = find_checkpoint(configuration.model)
    fingerprint = checkpoint.fingerprint()
    compared = {}
    path = reference_path(options.references, configuration, fingerprint)
    if configuration.is_reference:
        save_outputs(path, {"ptm": 0.5})
    else:
        compared = {"fp32_tm_score": [float(path.exists())]}
    outcomes = {
        OOM: ("oom", "no more"),
        REFUSED: ("refused", "too much"),
        FAILED: ("failed", "it broke"),
        LATE: ("timeout", "no end"),
    }
    status, reason = outcomes.get(length, ("ok", None))
    if status == "failed":
        print("Traceback of the child", file=sys.stderr)
    record = Measurement(
        BENCHMARK,
        configuration.recorded(checkpoint.short_name),
        {"fingerprint": fingerprint, "device": "cpu"},
        {
            "cpu": {"model": "A CPU", "cores": 2},
            "gpus": [],
            "gpu_driver": None,
            "versions": {"lowmem_fold": package_version()},
        },
        {"seconds": [1.5, 1.25], "anonymous_peak_bytes": [3 * 2**30], **compared} if status == "ok" else {},
        status,
        reason,
    )
    print(record.to_line())


if __name__ == "__main__":
    main()
