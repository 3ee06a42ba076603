"""What goes wrong when containers are handled, worded for the person who asked."""

from __future__ import annotations

NOT_EXECUTABLE = 126
NOT_FOUND = 127


class HarnessError(Exception):
    """A failure in one line; ``status`` is what the command line exits with."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class UsageError(HarnessError):
    """What was asked for cannot be meant; the message begins with the flag or field."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 2)


class UnknownContainerError(HarnessError):
    """There is no container of this ID."""

    def __init__(self, container_id: str) -> None:
        super().__init__(f"there is no container {container_id!r}")


class LostMonitorError(HarnessError):
    """A monitor was killed before the command ran, or before it had begun."""

    def __init__(self, container_id: str) -> None:
        super().__init__(
            f"the monitor of {container_id!r} ended without a word; `recover` puts things in order"
        )


def visible(text: str) -> str:
    """Return text with escapes for what a terminal would act upon, and for what is no character."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def one_line(error: BaseException) -> str:
    """Return an error's words on one line, never none."""
    if isinstance(error, OSError) and error.strerror:
        about = f"{error.filename}: " if error.filename else ""
        return f"{about}{error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__
