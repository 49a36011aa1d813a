"""What can go wrong, as a tree that says what to do about it.

    SparkyError
    ├── Transient              try again after a pause; burns an attempt
    ├── Throttled(until)       wait until then; burns no attempt
    ├── Changed                what was read is not so any more: the job begins anew
    └── Permanent              trying again changes nothing
        ├── UsageError         the command or a setting is wrong (exit code 2)
        ├── SourceError        this repository cannot be read
        ├── EngineError        the engine refuses this request
        │   ├── ContextExceeded    the prompt is longer than the engine's context
        │   └── BadAnswer          an answer came, but cut, empty or unusable
        ├── ServiceError       an embedded service or its files are broken
        └── StoreError         the database does not fit this code

An error is one line for a person: what happened, to what, and what to do next.
"""

from __future__ import annotations

from datetime import datetime


class SparkyError(Exception):
    """Base of every error that Sparky raises itself.

    Args:
        message: what happened, and to what, in one line.
        remedy: what to do next, in one line; empty if there is nothing to do.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.remedy = " ".join(remedy.split())

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class Transient(SparkyError):
    """It may work at the next attempt: a reset, a timeout, a 5xx answer."""


class Throttled(SparkyError):
    """The other side asked us to wait; `until` is zone-aware."""

    def __init__(self, message: str, *, until: datetime, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.until = until


class Changed(SparkyError):
    """Another job has read the same since, and found it otherwise."""


class Permanent(SparkyError):
    """It fails in the same way each time until somebody changes something."""


class UsageError(Permanent):
    """The command, an argument or a setting is wrong."""


class SourceError(Permanent):
    """The repository cannot be read: not one, denied, too large, broken."""


class EngineError(Permanent):
    """The engine refuses the request: wrong key, wrong model, bad request."""


class ContextExceeded(EngineError):
    """The prompt does not fit into the engine's context."""


class BadAnswer(EngineError):
    """The engine answered, but with nothing usable: empty, cut at the length limit, no JSON.

    It cost `prompt_tokens`, `completion_tokens` and `seconds` all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.seconds = seconds


class ServiceError(Permanent):
    """An embedded service, or a file it needs, is missing or broken."""


class StoreError(Permanent):
    """The database's schema does not fit this version of the code."""
