"""The values that flow through Sparky: Source → Activity → Chunk → Summary → Digest.

Every value is frozen; every datetime is zone-aware; natural keys are strings that a person can
read (`commit:<oid>`, `release:<tag>`, `pull_request:<n>`, `issue:<n>`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

DIGEST_SCHEMA = "sparky.digest/1"


class Kind(StrEnum):
    """What sort of activity it is."""

    COMMIT = "commit"
    PULL_REQUEST = "pull_request"
    ISSUE = "issue"
    RELEASE = "release"


class Role(StrEnum):
    """What a person did for an activity."""

    AUTHOR = "author"
    COMMITTER = "committer"
    CO_AUTHOR = "co_author"
    MERGER = "merger"
    REVIEWER = "reviewer"


class Change(StrEnum):
    """What kind of change an activity is; derived by code, never by a model."""

    FEATURE = "feature"
    FIX = "fix"
    PERFORMANCE = "performance"
    SECURITY = "security"
    DOCUMENTATION = "documentation"
    REFACTORING = "refactoring"
    TESTS = "tests"
    BUILD = "build"
    DEPENDENCY = "dependency"
    FORMATTING = "formatting"
    REVERT = "revert"
    MERGE = "merge"
    RELEASE = "release"
    OTHER = "other"


class Section(StrEnum):
    """Where a point stands in a digest, in the order in which a reader meets them."""

    BREAKING = "breaking"
    SECURITY = "security"
    FEATURES = "features"
    FIXES = "fixes"
    PERFORMANCE = "performance"
    RELEASES = "releases"
    DOCUMENTATION = "documentation"
    DEPENDENCIES = "dependencies"
    MAINTENANCE = "maintenance"
    OTHER = "other"


class Origin(StrEnum):
    """Who wrote a point's text."""

    ENGINE = "engine"
    """A model wrote it, and the check passed it."""
    RULE = "rule"
    """Code wrote it from facts (grouped dependency updates, releases, merges)."""
    EXTRACTIVE = "extractive"
    """It is the activity's own title."""


class Status(StrEnum):
    """Whether a digest covers all that it should."""

    DONE = "done"
    PARTIAL = "partial"


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository, known by an id that survives renames and moves."""

    id: str
    """Immutable: `git:<hash>` of root commit and origin, or the forge's node id."""
    name: str
    """What people call it: `owner/name`, or the folder's name."""
    source: str
    """Which Source reads it: `git` or `github`."""
    location: str
    """Path or URL to read from; never with credentials in it."""
    url: str | None = None
    """Its web page (https), if it has one."""


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open span of time [since, until); both zone-aware."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise ValueError("a window needs zone-aware datetimes")
        if self.since >= self.until:
            raise ValueError("a window must begin before it ends")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who did something; the same e-mail (after mailmap) is the same person."""

    name: str
    email: str = ""
    login: str | None = None
    bot: bool = False

    @property
    def key(self) -> str:
        """What two mentions of one person share."""
        return (self.login or self.email or self.name).casefold()


@dataclass(frozen=True, slots=True)
class Credit:
    """A person's part in an activity."""

    person: Person
    role: Role


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file touched by an activity; `None` counts mean a binary file."""

    path: str
    additions: int | None
    deletions: int | None
    renamed_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Something that happened in a repository: a commit, a pull request, an issue, a release."""

    key: str
    kind: Kind
    at: datetime
    """Committer date, merge or close date, tag date."""
    title: str
    body: str = ""
    credits: tuple[Credit, ...] = ()
    state: str = ""
    """Pull requests and issues: opened, merged, closed. Empty for commits and releases."""
    parents: tuple[str, ...] = ()
    """Full oids of a commit's parents; two or more make a merge."""
    target: str | None = None
    """The full oid that a release's tag points at."""
    additions: int = 0
    deletions: int = 0
    files: tuple[FileChange, ...] = ()
    """At most the source's cap; `files_total` counts them all."""
    files_total: int = 0
    references: tuple[str, ...] = ()
    """Keys named in its text, such as `pull_request:12`, in order, without repeats."""
    labels: tuple[str, ...] = ()
    redacted: int = 0
    """How many secrets were taken out of its text."""

    @property
    def is_merge(self) -> bool:
        return len(self.parents) > 1

    @property
    def is_proposal(self) -> bool:
        """Whether it changed nothing: an issue that is not closed, a request that nobody merged."""
        if self.kind is Kind.ISSUE:
            return self.state != "closed"
        return self.kind is Kind.PULL_REQUEST and self.state in {"opened", "closed"}

    @property
    def oid(self) -> str:
        """The part of the key after the first colon: a commit's full oid, a tag, a number."""
        return self.key.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Traits:
    """What code knows of an activity without asking a model."""

    change: Change
    breaking: bool
    significance: float
    """0 (nobody needs to know) to 1 (everybody does)."""
    reasons: tuple[str, ...] = ()
    """Why, in words for tests and for `sparky digests show --explain`."""


@dataclass(frozen=True, slots=True)
class Item:
    """An activity as an engine will see it: a short id and fenced text."""

    id: str
    """Short and local to its chunk: `a1`, `a2`, …"""
    key: str
    text: str
    cut: bool = False
    """Whether the text was shortened to fit, and is marked so."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Activities that one engine call reads; the key is a hash of its contents."""

    key: str
    subject: str
    items: tuple[Item, ...]
    tokens: int
    """Prompt tokens of the items, counted or estimated."""


@dataclass(frozen=True, slots=True)
class Point:
    """One statement of a digest, with the keys of the activities that prove it."""

    text: str
    section: Section
    cites: tuple[str, ...]
    origin: Origin
    significance: float = 0.0


@dataclass(frozen=True, slots=True)
class Omission:
    """An activity that no point speaks of, and why."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What engine calls cost: tokens and calls made now, and calls that a cache saved."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    calls: int = 0
    cache_hits: int = 0
    seconds: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.calls + other.calls,
            self.cache_hits + other.cache_hits,
            self.seconds + other.seconds,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of one chunk: checked points, and what they leave out."""

    key: str
    """Hash of the chunk, the prompt's version, the schema, the model and its parameters."""
    points: tuple[Point, ...]
    omitted: tuple[Omission, ...]
    usage: Usage
    engine: str = ""
    model: str = ""
    rejected: tuple[str, ...] = ()
    """Why answers were refused, in words; for `docs/quality.md` and for people who ask."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts of a window; computed, never written by a model."""

    commits: int = 0
    merges: int = 0
    pull_requests: int = 0
    issues: int = 0
    releases: int = 0
    authors: int = 0
    additions: int = 0
    deletions: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one person did in a window."""

    name: str
    login: str | None
    bot: bool
    roles: Mapping[str, int]
    """Role → how many activities."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Where the activities of one kind went: expected = fetched = summarized + omitted when done."""

    kind: Kind
    expected: int
    fetched: int
    summarized: int
    omitted: tuple[Omission, ...] = ()
    redacted: int = 0
    """How many secrets were taken out of them."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """How a digest was made."""

    engine: str
    model: str
    prompt_version: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    engine_calls: int = 0
    cache_hits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """A true, short account of a window in one repository: schema `sparky.digest/1`."""

    repo: Repo
    window: Window
    revision: int
    status: Status
    headline: str
    headline_cites: tuple[str, ...] = ()
    points: tuple[Point, ...]
    stats: Stats
    people: tuple[Contribution, ...]
    ledger: tuple[LedgerEntry, ...]
    provenance: Provenance
    notes: tuple[str, ...] = field(default=())
    """Why it is partial, in words; empty when it is done."""
