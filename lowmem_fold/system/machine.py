"""What the system says of the machine."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

__all__ = ["cpu_model", "program_output"]

_CPUINFO = Path("/proc/cpuinfo")


def cpu_model() -> str:
    """The processor's name, as the system tells it."""
    if _CPUINFO.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", _CPUINFO.read_text(), re.MULTILINE)
        if found:
            return found[1].strip()
    return program_output("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def program_output(*command: str) -> str | None:
    """What a program prints, stripped; None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
