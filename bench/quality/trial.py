"""One window through Sparky's own stages with one engine, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.quality import score, second
from bench.quality.score import Group, Score
from bench.quality.windows import Described
from sparky import activity, chunks, digests, redact, rules, summaries
from sparky.errors import BadAnswer
from sparky.model import Chunk, Digest, Origin, Summary
from sparky.pipeline import CHUNK_TOKENS
from sparky.ports import Answer, Engine, Prompt, Source

Ask = Callable[[Prompt], Answer]
Count = Callable[[str], int]

TITLES = Engine(name="none", model="titles", context=8192)
"""The baseline: rules, and the activities' own titles."""


def silent(prompt: Prompt) -> Answer:
    """The engine of the baseline, which says nothing."""
    raise BadAnswer("this engine says nothing")


@dataclass(frozen=True, slots=True)
class Trial:
    """A digest, how it scores, and what the second look found."""

    window: str
    digest: Digest
    score: Score
    findings: tuple[second.Finding, ...]


@dataclass(slots=True)
class _Meter:
    """What was asked, and what it cost; an answer from the cache costs what it cost once."""

    ask: Ask
    prompts: list[Prompt] = field(default_factory=list)
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def __call__(self, prompt: Prompt) -> Answer:
        self.prompts.append(prompt)
        answer = self.ask(prompt)
        self.calls += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.seconds += answer.seconds
        return answer


def run(
    described: Described,
    clone: Path,
    *,
    source: Source,
    engine: Engine,
    ask: Ask,
    count: Count,
    clock: Callable[[], float] = time.perf_counter,
) -> Trial:
    """Make the digest of a window as the farm makes it, and judge it."""
    repo = source.identify(str(clone))
    source.refresh(repo)
    census = source.census(repo, described.window)
    happened = activity.arrange(map(redact.clean, source.activities(repo, described.window)))
    traits = {one.key: activity.traits(one) for one in happened}
    ruled = rules.apply(happened, traits)
    known = {one.key: one for one in happened}
    room = engine.context - summaries.overhead(count) - summaries.reserve()
    meter = _Meter(ask)
    began = clock()
    made: list[Summary] = []
    total = Score()
    for chunk in chunks.pack(ruled.rest, traits, budget=min(room, CHUNK_TOKENS), count=count):
        before = len(meter.prompts)
        summary = summaries.summarize(chunk, known, traits, engine=engine, ask=meter)
        made.append(summary)
        total += _passed(chunk, meter.prompts[before:], summary)
    digest = digests.compose(
        repo=repo,
        window=described.window,
        revision=1,
        census=census,
        activities=happened,
        traits=traits,
        ruled=(ruled.points, ruled.omitted),
        summaries=made,
        stats=activity.stats(happened),
        people=activity.contributions(happened),
        engine=engine,
        ask=meter,
        count=count,
    )
    findings = tuple(second.look(digest, second.Data(clone)))
    possible, cited, told = score.entries(digest, described.entries)
    total += Score(
        entries=possible,
        cited=cited,
        tellable=score.tellable(
            {one.oid: f"{one.title}\n{one.body}" for one in happened}, described.entries
        ),
        told=told,
        points=len(digest.points),
        by_engine=sum(point.origin is Origin.ENGINE for point in digest.points),
        words=sum(len(point.text.split()) for point in digest.points),
        false=len(findings),
        calls=meter.calls,
        prompt_tokens=meter.prompt_tokens,
        completion_tokens=meter.completion_tokens,
        seconds=round(meter.seconds or clock() - began, 1),
    )
    return Trial(described.name, digest, total, findings)


def _passed(chunk: Chunk, asked: Sequence[Prompt], summary: Summary) -> Score:
    """How the points of one chunk came through the check."""
    plans = [_plan(chunk, prompt) for prompt in asked]
    groups = plans[0] if plans else []
    first, repaired, extractive = score.passed(
        groups, plans[1] if plans[1:] else [], summary.points
    )
    return Score(asked=len(groups), first=first, repaired=repaired, extractive=extractive)


def _plan(chunk: Chunk, prompt: Prompt) -> list[Group]:
    """The groups of activities that a prompt asks a point for each of."""
    assert prompt.schema is not None
    keys = {item.id: item.key for item in chunk.items}
    entries = prompt.schema["properties"]["points"]["prefixItems"]
    return [tuple(keys[one] for one in e["properties"]["cites"]["const"]) for e in entries]
