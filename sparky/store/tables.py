"""The only schema. Constraints make a wrong state impossible; Alembic migrations follow this file.

Times are `timestamptz`. Payloads are JSONB of model values. A step is the unit of work: one row
for each message that the farm may send, claimed by one UPDATE, fenced by its `attempt`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    Time,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sparky.lifecycle import Turn

ON_TIME = 5
"""The priority of what has none: 0 comes first, 9 last."""

STAGES = ("fetch", "chunk", "summarize", "rollup", "publish")
STEP_STATES = ("waiting", "running", "done", "failed", "cancelled")
JOB_STATES = ("waiting", "running", "partial", "done", "failed", "skipped", "cancelled")
CATCH_UP = ("once", "all", "none")
RUN_STATES = ("running", "partial", "done", "failed", "cancelled")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _time(name: str, *, nullable: bool = True) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=nullable)


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default=text("0"))


def _priority() -> Column[int]:
    return Column("priority", Integer, nullable=False, server_default=text(str(ON_TIME)))


repositories = Table(
    "repositories",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("url", Text),
    Column("tracked", Boolean, nullable=False, server_default=text("false")),
    _now("added_at"),
    CheckConstraint("location !~ '://[^/@]*:[^/@]*@'", name="location_has_no_password"),
)

activities = Table(
    "activities",
    metadata,
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    # A pull request that was opened in one window and merged in another stands in both.
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("payload", JSONB, nullable=False),
    CheckConstraint("key ~ '^(commit|pull_request|issue|release):.'", name="key"),
    Index(None, "repository_id", "at"),
)

groups = Table(
    "groups",
    metadata,
    Column("name", Text, primary_key=True),
    _now("added_at"),
    CheckConstraint("name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'", name="name"),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_name", ForeignKey(groups.c.name, ondelete="CASCADE"), primary_key=True),
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Index(None, "repository_id"),
)

# Where a schedule waits: `fires_at` is what its cron expression says, `next_due` comes after the
# spread and the quiet hours.
schedules = Table(
    "schedules",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("farm", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE")),
    Column("group_name", ForeignKey(groups.c.name)),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("days", Integer, nullable=False),
    _priority(),
    Column("quiet_from", Time),
    Column("quiet_until", Time),
    Column("catch_up", Text, nullable=False),
    Column("spread", Integer, nullable=False, server_default=text("0")),
    _time("fires_at", nullable=False),
    _time("next_due", nullable=False),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("error", Text),
    UniqueConstraint("farm", "name"),
    _one_of("catch_up", CATCH_UP),
    CheckConstraint("name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'", name="name"),
    CheckConstraint("num_nonnulls(repository_id, group_name) = 1", name="target"),
    CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
    CheckConstraint("days >= 1", name="days"),
    CheckConstraint("spread >= 0", name="spread"),
    CheckConstraint("(quiet_from IS NULL) = (quiet_until IS NULL)", name="quiet"),
    CheckConstraint("next_due >= fires_at", name="due"),
    CheckConstraint("error IS NULL OR NOT enabled", name="disabled_says_why"),
    Index("ix_schedules_due", "farm", "next_due", postgresql_where=text("enabled")),
    Index(None, "repository_id"),
    Index(None, "group_name"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("farm", Text, nullable=False),
    Column("schedule_id", ForeignKey(schedules.c.id, ondelete="SET NULL")),
    _priority(),
    _time("since", nullable=False),
    _time("until", nullable=False),
    Column("options", JSONB, nullable=False, server_default=text("'{}'")),
    Column("state", Text, nullable=False, server_default=text("'running'")),
    Column("pending", Integer, nullable=False),
    _now("created_at"),
    _time("finished_at"),
    _one_of("state", RUN_STATES),
    CheckConstraint("since < until", name="window"),
    CheckConstraint("pending >= 0", name="pending"),
    CheckConstraint("(state = 'running') = (finished_at IS NULL)", name="finished"),
    CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
    # Two ticks at one firing make one run.
    UniqueConstraint("schedule_id", "since", "until"),
    Index(None, "farm", "state"),
    Index(None, "farm", "created_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("run_id", ForeignKey(runs.c.id, ondelete="CASCADE"), nullable=False),
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), nullable=False),
    Column("stage", Text, nullable=False, server_default=text("'fetch'")),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    _count("pending"),
    _count("activities"),
    _count("chunks"),
    Column("census", JSONB),
    Column("revision", Integer),
    Column("provenance", JSONB),
    Column("error", Text),
    _time("finished_at"),
    UniqueConstraint("run_id", "repository_id"),
    _one_of("stage", STAGES),
    _one_of("state", JOB_STATES),
    CheckConstraint("pending >= 0", name="pending"),
    CheckConstraint("(state IN ('waiting', 'running')) = (finished_at IS NULL)", name="finished"),
    CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_says_why"),
    Index(None, "repository_id"),
)

steps = Table(
    "steps",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", ForeignKey(jobs.c.id, ondelete="CASCADE"), nullable=False),
    Column("farm", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("key", Text, nullable=False, server_default=text("''")),
    Column("position", Integer, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    _count("failures"),
    Column("worker", Text),
    _time("lease_until"),
    _time("not_before"),
    _now("order_at"),
    _time("rung_at"),
    _time("started_at"),
    _time("ended_at"),
    Column("error", Text),
    Column("result", Text),
    UniqueConstraint("job_id", "stage", "key"),
    _one_of("stage", STAGES),
    _one_of("state", STEP_STATES),
    CheckConstraint("(state = 'running') = (lease_until IS NOT NULL)", name="lease"),
    CheckConstraint("state <> 'failed' OR error IS NOT NULL", name="failed_says_why"),
    Index(
        "ix_steps_silent",
        *("farm", "stage", "order_at", "id"),
        postgresql_where=text("state = 'waiting' AND rung_at IS NULL"),
    ),
    Index(
        "ix_steps_rung",
        *("farm", "stage", "rung_at"),
        postgresql_where=text("state = 'waiting' AND rung_at IS NOT NULL"),
    ),
    # Of the steps that run, and no way to one of them by its id: its condition is another.
    Index(
        "ix_steps_leases", "farm", "lease_until", postgresql_where=text("lease_until IS NOT NULL")
    ),
)

paused = Table(
    "paused",
    metadata,
    Column("farm", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    _now("since"),
)

chunks = Table(
    "chunks",
    metadata,
    Column("key", Text, primary_key=True),
    Column("payload", JSONB, nullable=False),
    _now("created_at"),
    _now("used_at"),
    Index(None, "used_at"),
)

answers = Table(
    "answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("payload", JSONB, nullable=False),
    _now("created_at"),
    _now("used_at"),
    Index(None, "used_at"),
)

summaries = Table(
    "summaries",
    metadata,
    Column("key", Text, primary_key=True),
    Column("chunk", Text),
    Column("payload", JSONB, nullable=False),
    _now("created_at"),
    _now("used_at"),
    Index(None, "used_at"),
    Index(None, "chunk"),
)

digests = Table(
    "digests",
    metadata,
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Column("since", DateTime(timezone=True), primary_key=True),
    Column("until", DateTime(timezone=True), primary_key=True),
    Column("revision", Integer, primary_key=True),
    Column("status", Text, nullable=False),
    Column("headline", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("inputs", Text),
    Column("payload", JSONB, nullable=False),
    _now("created_at"),
    _one_of("status", ("done", "partial")),
    CheckConstraint("since < until", name="window"),
    CheckConstraint("revision >= 1", name="revision"),
    Index(None, "created_at"),
    Index(None, "repository_id", "created_at"),
)

llm_calls = Table(
    "llm_calls",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("job_id", ForeignKey(jobs.c.id, ondelete="CASCADE")),
    Column("stage", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("server", Text, nullable=False, server_default=text("''")),
    Column("model", Text, nullable=False),
    _count("prompt_tokens"),
    _count("cached_tokens"),
    _count("completion_tokens"),
    _count("reasoning_tokens"),
    Column("first_token_seconds", Double),
    Column("joules", Double),
    Column("seconds", Double, nullable=False),
    Column("outcome", Text, nullable=False),
    _now("at"),
    Index(None, "job_id"),
)

token_ratios = Table(
    "token_ratios",
    metadata,
    Column("model", Text, primary_key=True),
    Column("ratio", Double, nullable=False),
    _now("learned_at"),
    CheckConstraint("ratio > 0", name="ratio"),
)

# What GitHub has shown: to the GitHub source what a clone is to git.

forge_probes = Table(
    "forge_probes",
    metadata,
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Column("payload", JSONB),
    _time("probed_at"),
    _time("claimed_until"),
    CheckConstraint("(payload IS NULL) = (probed_at IS NULL)", name="probed"),
)

forge_marks = Table(
    "forge_marks",
    metadata,
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),
    _time("since"),
    _time("until"),
    Column("payload", JSONB, nullable=False),
    _one_of("kind", ("commit", "pull_request", "issue", "release")),
)

forge_items = Table(
    "forge_items",
    metadata,
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    _time("opened_at", nullable=False),
    _time("ended_at"),
    _time("updated_at"),
    _count("reading"),
    Column("payload", JSONB, nullable=False),
    CheckConstraint("starts_with(key, kind || ':')", name="key"),
    Index(None, "repository_id", "kind", "opened_at"),
    Index(None, "repository_id", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
)

# What a forge says of a repository as a whole; `missing` says why it cannot be read any more.
forge_facts = Table(
    "forge_facts",
    metadata,
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), primary_key=True),
    Column("payload", JSONB),
    _time("seen_at"),
    Column("missing", Text),
    _time("missing_since"),
    CheckConstraint("(payload IS NULL) = (seen_at IS NULL)", name="seen"),
    CheckConstraint("(missing IS NULL) = (missing_since IS NULL)", name="missing"),
)

repository_turns = Table(
    "repository_turns",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("repository_id", ForeignKey(repositories.c.id, ondelete="CASCADE"), nullable=False),
    _time("at", nullable=False),
    Column("turn", Text, nullable=False),
    Column("was", Text, nullable=False, server_default=text("''")),
    Column("now", Text, nullable=False, server_default=text("''")),
    _one_of("turn", tuple(Turn)),
    Index(None, "repository_id", "at"),
    # A former name leads to the repository.
    Index("ix_repository_turns_was", "was", postgresql_where=text("was <> ''")),
)

forge_budgets = Table(
    "forge_budgets",
    metadata,
    Column("credential", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("label", Text, nullable=False),
    Column("allowed", Integer),
    _count("remaining"),
    _time("reset_at"),
    _count("leased"),
    _count("in_flight"),
    _time("leased_at"),
    _time("minute_at"),
    _count("minute_points"),
    _time("blocked_until"),
    _count("strikes"),
    _now("told_at"),
    CheckConstraint("(allowed IS NULL) = (reset_at IS NULL)", name="unlimited"),
    CheckConstraint("remaining >= 0 AND leased >= 0 AND in_flight >= 0", name="counts"),
)
