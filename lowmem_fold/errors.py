"""Errors that a user can act on: the command line prints their text, without a traceback."""

__all__ = [
    "BudgetError",
    "DeviceFailedError",
    "InputError",
    "LowmemFoldError",
    "ModelError",
    "OutputLostError",
    "WeightsLostError",
    "first_line",
]


class LowmemFoldError(Exception):
    """Base of the errors raised on purpose: the message says what was wrong, where, and what to do."""


class InputError(LowmemFoldError, ValueError):
    """The input or an option is wrong (exit code 2): names the file, the record and the position."""


class BudgetError(InputError):
    """Nothing fits the memory that may be used: says what would."""


class ModelError(LowmemFoldError, RuntimeError):
    """A model cannot be had or is not what it should be (exit code 2): says how to get it."""


class OutputLostError(LowmemFoldError, OSError):
    """The output folder, or a file of it, was taken from a run that writes there (exit code 1)."""


class WeightsLostError(ModelError):
    """The weights of a loaded model are gone: no more can be run with it, whatever is tried."""


class DeviceFailedError(LowmemFoldError, RuntimeError):
    """A CUDA device answers every call of this process with an error: a run stops, and resumes in another process."""


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says: libraries say more than a user wants to read."""
    return f"{type(error).__name__}: {str(error).strip()}".split("\n")[0]
