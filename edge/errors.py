"""Every error a user can meet, each with one sentence and one documented exit code."""

from __future__ import annotations

from collections.abc import Sequence


class EdgeError(Exception):
    """Base of all errors with a message meant for the user. `exit_code` is what the command line returns."""

    exit_code = 1


class UsageError(EdgeError):
    """The command line itself is wrong (unknown option value, impossible combination)."""

    exit_code = 2


class ConfigError(EdgeError):
    """A configuration, board preset or geometry is wrong. Carries every problem found, not only the first."""

    exit_code = 3

    def __init__(self, problems: str | Sequence[str], source: str = "") -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        self.source = source
        head = f"{source}: " if source else ""
        if len(self.problems) == 1:
            text = head + self.problems[0]
        else:
            text = f"{head}{len(self.problems)} problems\n" + "\n".join(f"  - {p}" for p in self.problems)
        super().__init__(text)


class DeviceError(EdgeError):
    """A sound device is missing, busy, or cannot do what was asked of it."""

    exit_code = 4


class UnfitDeviceError(DeviceError):
    """A sound device that is there but cannot do what was asked, so that trying again does not help."""


class ModelError(EdgeError):
    """A network or its manifest is missing, corrupted or does not fit the profile."""

    exit_code = 5


class AudioFileError(EdgeError):
    """A sound file is missing, unreadable, empty, truncated or has the wrong channels or rate."""

    exit_code = 6


class TelemetryError(EdgeError):
    """A broker refused or could not be reached. Never ends a live run; `edge doctor` exits with it."""

    exit_code = 7


class QualityError(EdgeError):
    """Sounds were measured, and what was found does not meet the criteria. Everything that was found is reported."""

    exit_code = 8
