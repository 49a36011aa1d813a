"""The story: fetch, chunk, summarize, rollup. Ports come as arguments, values go out.

Each stage may be run again at any time: what it writes has a natural key, and what an engine has
answered once is never asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Protocol, TypeVar

from sparky import activity, chunks, digests, redact, rules, summaries
from sparky.errors import BadAnswer, Changed, SparkyError
from sparky.model import Activity, Chunk, Digest, Origin, Repo, Summary, Traits, Window
from sparky.ports import Answer, Backend, Census, Engine, Prompt, Source, Store

Ask = Callable[[Prompt], Answer]


class Record(Protocol):
    """Where questions are written down."""

    def __call__(self, answer: Answer | None, seconds: float, outcome: str) -> None:
        """A question that brought no new answer: `cached`, or the error's name."""

    def keep(self, key: str, answer: Answer) -> None:
        """A question that brought one, and its answer, to be kept under the question's hash."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """Keeps the answers alone, for those who look at nothing else."""

    store: Store

    def __call__(self, answer: Answer | None, seconds: float, outcome: str) -> None: ...

    def keep(self, key: str, answer: Answer) -> None:
        self.store.put_answer(key, answer)


_Given = TypeVar("_Given")
_Made = TypeVar("_Made")

CHUNK_TOKENS = 3000
"""Most prompt tokens of data in a chunk, however long the engine's context is: a small model
loses sight of what stands in the middle of a longer list."""

_ASKED = tuple(field.name for field in fields(Prompt))

ASKED_AT_ONCE = 8
"""Questions of one roll-up that are asked side by side: a busy repository's would else end a night
one after the other, when nobody else asks any more."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch brought."""

    activities: int
    census: Census

    @property
    def is_quiet(self) -> bool:
        """Whether nothing happened, nothing could be hidden, and nobody needs to know more."""
        census = self.census
        return not (self.activities or any(census.expected.values()) or census.gaps or census.notes)


def fetch(repo: Repo, window: Window, *, source: Source, store: Store) -> Fetched:
    """Bring the window's activities into the store, without secrets."""
    source.refresh(repo)
    census = source.census(repo, window)
    cleaned = (redact.clean(found) for found in source.activities(repo, window))
    return Fetched(store.replace_activities(repo.id, window, cleaned), census)


def chunk(
    repo: Repo, window: Window, *, store: Store, backend: Backend, job_id: int
) -> tuple[Chunk, ...]:
    """Pack what rules do not say into chunks that fit the engine's context."""
    happened = activity.arrange(store.activities(repo.id, window))
    traits = _traits(happened)
    rest = rules.apply(happened, traits).rest
    if not rest:
        return ()
    room = backend.engine().context - summaries.overhead(backend.count) - summaries.reserve()
    # In few round trips, where the engine can: what is packed is then counted from memory.
    backend.count_all([chunks.describe(one, traits.get(one.key)) for one in rest])
    earlier = store.chunked(repo.id, window, job_id)
    same = chunks.unchanged(earlier, rest, traits, budget=room, count=backend.count)
    told = {item.key for one in same for item in one.items}
    fresh = chunks.pack(
        [one for one in rest if one.key not in told],
        traits,
        budget=min(room, CHUNK_TOKENS),
        count=backend.count,
    )
    store.put_chunks(job_id, fresh)
    return (*same, *fresh)


def summarize(
    key: str,
    repo: Repo,
    window: Window,
    *,
    store: Store,
    backend: Backend,
    record: Record,
) -> str | None:
    """Summarise one chunk, unless that was done before; returns the summary's key.

    Also one that another prompt or model made counts as done. Of what is not there any more nothing
    is said; the roll-up notices.
    """
    engine = backend.engine()
    summary_key = summaries.key(key, engine)
    brief = store.brief(key, summary_key, repo.id, window)
    if brief.summary is not None:
        record(None, 0.0, "cached")
        return brief.summary.key
    if brief.chunk is None or len(brief.members) < len(brief.chunk.items):
        return None
    made = summaries.summarize(
        brief.chunk,
        brief.members,
        _traits(tuple(brief.members.values())),
        engine=engine,
        ask=asking(backend, store, record),
    )
    store.put_summary(replace(made, key=summary_key), key)
    return summary_key


def rollup(
    repo: Repo,
    window: Window,
    *,
    census: Census,
    summary_keys: tuple[str, ...],
    notes: tuple[str, ...],
    store: Store,
    backend: Backend,
    record: Record,
    stored: int | None = None,
) -> Digest:
    """Compose the digest of what rules and summaries say, and store it.

    What was composed of the same inputs before is not composed again, also not by another prompt,
    model or version of Sparky.

    Args:
        stored: how many activities the fetch has stored, to raise Changed where what is there now
            is not what was fetched and summarised; None: the digest is made of what is there.
    """
    happened = activity.arrange(store.activities(repo.id, window))
    engine = backend.engine()
    made_of = (repo, happened, census, summary_keys, notes)
    inputs = hashlib.sha256(repr(made_of).encode()).hexdigest()
    before = store.composed(repo.id, window, inputs)
    if before is not None:
        record(None, 0.0, "cached")
        return before
    traits = _traits(happened)
    ruled = rules.apply(happened, traits)
    told = store.summaries(summary_keys)
    if (
        stored is not None
        and not notes
        and _has_changed(happened, ruled.rest, told, census, stored)
    ):
        raise Changed(f"{repo.name} was read again while its digest was made, and has changed")
    with ThreadPoolExecutor(ASKED_AT_ONCE) as askers:
        digest = digests.compose(
            repo=repo,
            window=window,
            revision=1,
            census=census,
            activities=happened,
            traits=traits,
            ruled=(ruled.points, ruled.omitted),
            summaries=told,
            stats=activity.stats(happened),
            people=activity.contributions(happened),
            engine=engine,
            ask=asking(backend, store, record),
            count=backend.count,
            notes=(*notes, *census.gaps),
            each=partial(side_by_side, askers),
        )
    if summary_keys and not any(point.origin is Origin.ENGINE for point in digest.points):
        # It was asked, and nothing of what it wrote could stand.
        named = replace(digest.provenance, engine=engine.name, model=engine.model)
        digest = replace(digest, provenance=named)
    return store.put_digest(digest, inputs)


def _has_changed(
    happened: Sequence[Activity],
    rest: Sequence[Activity],
    told: Sequence[Summary],
    census: Census,
    stored: int,
) -> bool:
    """Whether there is more or less than a fetch found that was whole, or what no summary tells."""
    expected = Counter(census.expected)
    differs = expected != Counter(one.kind for one in happened)
    if expected.total() == stored and differs:
        return True
    keys = {key for one in told for point in one.points for key in point.cites}
    keys |= {omission.key for one in told for omission in one.omitted}
    return any(one.key not in keys for one in rest)


def side_by_side(
    askers: Executor, do: Callable[[_Given], _Made], items: Iterable[_Given]
) -> list[_Made]:
    """As `map`, several at a time; once one has failed, no other is begun."""
    asked = [askers.submit(do, item) for item in items]
    done, rest = wait(asked, return_when=FIRST_EXCEPTION)
    for one in rest:
        one.cancel()
    for one in done:
        one.result()  # raises what failed
    return [one.result() for one in asked]


def asking(backend: Backend, store: Store, record: Record) -> Ask:
    """The engine with its earlier answers in front, and secrets taken out of what it writes."""

    def ask(prompt: Prompt) -> Answer:
        key = question_key(prompt, backend.engine())
        known = store.answer(key)
        if known is not None:
            record(known, 0.0, "cached")
            return known
        try:
            answer = backend.complete(prompt)
        except BadAnswer as error:
            cost = Answer("", backend.engine().model, error.prompt_tokens, error.completion_tokens)
            record(cost, error.seconds, "BadAnswer")
            raise
        except SparkyError as error:
            record(None, 0.0, type(error).__name__)
            raise
        text, _ = redact.redact(answer.text)
        answer = replace(answer, text=text)
        record.keep(key, answer)
        return answer

    return ask


def question_key(prompt: Prompt, engine: Engine) -> str:
    """The same question to the same model, as a hash."""
    asked = {name: getattr(prompt, name) for name in _ASKED} | {"model": engine.model}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def _traits(activities: Sequence[Activity]) -> dict[str, Traits]:
    return {a.key: activity.traits(a) for a in activities}
