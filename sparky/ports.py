"""The doors to the outside: Source, Backend, Store, Publisher. Pure code sees nothing else.

A real implementation and its fake pass the same contract suite in `tests/contract/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sparky.model import Activity, Chunk, Digest, Kind, Repo, Summary, Window


@dataclass(frozen=True, slots=True)
class Census:
    """How many activities of each kind a source says there are in a window."""

    expected: Mapping[Kind, int]
    notes: tuple[str, ...] = ()
    """What the reader of a digest must know: a shallow clone, a detached head, a cut."""
    gaps: tuple[str, ...] = ()
    """What could not be read, and why; anything here makes the digest partial."""


class Source(Protocol):
    """Reads what happened in repositories. Errors: SourceError, Transient, Throttled."""

    def identify(self, location: str) -> Repo:
        """Find the repository that `location` (path, URL, `owner/name`) names."""
        ...

    def refresh(self, repo: Repo) -> None:
        """Bring what the source keeps of the repository up to date (clone, fetch)."""
        ...

    def census(self, repo: Repo, window: Window) -> Census:
        """Count the activities in the window without reading them."""
        ...

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        """Stream the window's activities, newest first; memory does not grow with history."""
        ...


@dataclass(frozen=True, slots=True)
class Engine:
    """What answers: a server and a model, and how much it can read at once."""

    name: str
    """The kind of engine that really answers, such as `llama.cpp` or `vllm`."""
    model: str
    context: int
    """Tokens of prompt and answer together."""
    slots: int = 1
    """Requests that it works on at once."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request. `system` is constant for a prompt version, so that prefix caches hit."""

    system: str
    user: str
    max_tokens: int
    schema: Mapping[str, Any] | None = None
    """A JSON Schema that the answer must satisfy; enforced where the engine can."""
    temperature: float = 0.0
    seed: int = 7


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine said, whole: a cut or empty answer is an error, never an Answer."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    seconds: float = 0.0
    finish: str = "stop"
    cached: bool = False
    """Answered from Sparky's own cache; no engine call was made."""
    engine: str = ""
    """The kind of engine that wrote it, such as `vllm`."""
    server: str = ""
    """Where that engine is: a URL without secrets."""
    reasoning_tokens: int = 0
    """Those of the completion's tokens that were no part of the text, where the engine tells."""
    first_token_seconds: float = 0.0
    joules: float | None = None
    """Energy that it took, where the server tells."""


class Backend(Protocol):
    """A language model behind a door. Errors: Transient, Throttled, EngineError."""

    def engine(self) -> Engine:
        """Ask the server what it is; raises if it is not there or serves another model."""
        ...

    def count(self, text: str) -> int:
        """Tokens of `text`: exact where the engine can say, else a calibrated estimate."""
        ...

    def count_all(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, as `count` gives them, in fewer round trips where possible."""
        ...

    def complete(self, prompt: Prompt) -> Answer:
        """Ask once, with connect, read and total deadlines."""
        ...

    def forget(self) -> None:
        """Ask the server anew what it is, the next time: it may be another one by then."""
        ...

    def close(self) -> None: ...


class Publisher(Protocol):
    """Puts a digest where people read it."""

    def publish(self, digest: Digest) -> str:
        """Write it whole or not at all; returns where it is now."""
        ...


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to do one step, until the lease ends. A later attempt voids it."""

    step_id: int
    job_id: int
    run_id: str
    repo: Repo
    window: Window
    stage: str
    key: str
    attempt: int
    failures: int
    """Attempts of this step that failed before this one."""
    lease_until: datetime
    options: Mapping[str, Any] = field(default_factory=dict)


class Clock(Protocol):
    """Passed in wherever time matters."""

    def __call__(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class Brief:
    """A chunk to summarise, or what was said of it before."""

    summary: Summary | None
    """The summary of that key; else the last one of the same chunk, however it was made."""
    chunk: Chunk | None = None
    """Not looked for where there is a summary."""
    members: Mapping[str, Activity] = field(default_factory=dict)
    """The chunk's activities by key, as they stand in the window; what is gone is missing."""


class Store(Protocol):
    """The truth: Postgres. What the pipeline needs of it; the farm uses more of the gateway."""

    def replace_activities(
        self, repo_id: str, window: Window, activities: Iterator[Activity]
    ) -> int:
        """Make the window's stored activities equal to these, in one transaction; how many."""
        ...

    def activities(self, repo_id: str, window: Window) -> tuple[Activity, ...]:
        """The window's activities, oldest first."""
        ...

    def put_chunks(self, job_id: int, chunks: Sequence[Chunk]) -> None: ...

    def brief(self, chunk: str, summary: str, repo_id: str, window: Window) -> Brief:
        """What to summarise; StoreError if there is neither that summary nor that chunk."""
        ...

    def chunked(self, repo_id: str, window: Window, job_id: int) -> tuple[Chunk, ...]:
        """The chunks into which the last job before this one parted the same window."""
        ...

    def summaries(self, keys: Sequence[str]) -> tuple[Summary, ...]:
        """Those of these that are kept, in the order of the keys."""
        ...

    def put_summary(self, summary: Summary, chunk: str) -> None:
        """Keep it as one of that chunk, unless its key is there already."""
        ...

    def answer(self, key: str) -> Answer | None:
        """An engine's earlier answer to the same question, marked `cached`."""
        ...

    def put_answer(self, key: str, answer: Answer) -> None: ...

    def composed(self, repo_id: str, window: Window, inputs: str) -> Digest | None:
        """The window's last revision, if it was made of exactly these inputs."""
        ...

    def put_digest(self, digest: Digest, inputs: str | None = None) -> Digest:
        """Store it as the next revision, or find that the last revision says the same."""
        ...
