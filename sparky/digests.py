"""Summaries → Digest: facts, points in rank, a headline, and a ledger that adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sparky import claims, points, prompts, replies
from sparky.condense import Each, condense
from sparky.errors import BadAnswer
from sparky.merging import merge_same, ranked
from sparky.model import (
    Activity,
    Contribution,
    Digest,
    Kind,
    LedgerEntry,
    Omission,
    Point,
    Provenance,
    Repo,
    Role,
    Section,
    Stats,
    Status,
    Summary,
    Traits,
    Usage,
    Window,
)
from sparky.ports import Answer, Census, Engine, Prompt

MOST_POINTS = 40
"""Points of a digest; above it, the least significant are told together."""
HEADLINE_POINTS = 3
"""The most significant points, from which the headline is made."""
SPOKEN = 0.75
"""Share of the points told together that the engine's sentence must speak of."""
_SENTENCE_TOKENS = 120
_SEED = 7


def compose(
    *,
    repo: Repo,
    window: Window,
    revision: int,
    census: Census,
    activities: Sequence[Activity],
    traits: Mapping[str, Traits],
    ruled: tuple[tuple[Point, ...], tuple[Omission, ...]],
    summaries: Sequence[Summary],
    stats: Stats,
    people: tuple[Contribution, ...],
    engine: Engine,
    ask: Callable[[Prompt], Answer],
    count: Callable[[str], int],
    notes: tuple[str, ...] = (),
    most: int = MOST_POINTS,
    each: Each = map,
) -> Digest:
    """The digest of a window. Each of its activities ends in a point's cites or in an omission.

    `notes` say what went wrong before, and make the digest partial. `each` is `map`, or asks
    several questions at a time. Errors of `ask` other than
    BadAnswer are let through.
    """
    known = {activity.key: activity for activity in activities}
    desk = _Desk(engine, ask, count)
    said, omitted = _gathered(known, traits, ruled, summaries)
    told = condense(merge_same(said, known), known, most=most, say=desk.together, each=each)
    headline, cites = _headline(told, known, stats, desk)
    ledger = _ledger(census, activities, told, omitted)
    missing = tuple(_missing(ledger))
    return Digest(
        repo=repo,
        window=window,
        revision=revision,
        status=Status.PARTIAL if notes or missing else Status.DONE,
        headline=headline,
        headline_cites=cites,
        points=tuple(told),
        stats=stats,
        people=people,
        ledger=ledger,
        provenance=_provenance(summaries, desk),
        notes=tuple(dict.fromkeys((*notes, *missing, *census.notes))),
    )


@dataclass(slots=True)
class _Desk:
    """The engine, as the composition asks it: one sentence at a time, checked and counted."""

    engine: Engine
    ask: Callable[[Prompt], Answer]
    count: Callable[[str], int]
    answers: list[Answer] = field(default_factory=list)

    @property
    def usage(self) -> Usage:
        """What all answers cost."""
        return sum(map(points.spent, self.answers), Usage())

    @property
    def model(self) -> str:
        """Who answered last; nobody has if it is empty."""
        return self.answers[-1].model if self.answers else ""

    def together(self, texts: Sequence[str], cited: Sequence[Activity]) -> str | None:
        """One sentence for some points, that holds for what they cite and speaks of most of them."""
        text = self._sentence("merge", texts, cited)
        spoken = sum(1 for one in texts if text and claims.telling(one) & claims.telling(text))
        return text if spoken > 1 and spoken >= SPOKEN * len(texts) else None

    def headline(self, texts: Sequence[str], cited: Sequence[Activity]) -> str | None:
        """One sentence for the first points, that holds for what they cite."""
        return self._sentence("headline", texts, cited)

    def _sentence(self, prompt: str, texts: Sequence[str], cited: Sequence[Activity]) -> str | None:
        items = [(f"p{index}", text) for index, text in enumerate(texts, start=1)]
        system = prompts.template(prompt).text
        user = f"{prompts.fenced('points', items)}\nWrite the sentence as JSON."
        if self.count(system) + self.count(user) + _SENTENCE_TOKENS > self.engine.context:
            return None
        try:
            answer = self.ask(
                Prompt(system, user, max_tokens=_SENTENCE_TOKENS, schema=_SCHEMA, seed=_SEED)
            )
        except BadAnswer:
            return None
        self.answers.append(answer)
        text = replies.text(answer.text)
        if text is None:
            return None
        text = claims.trim(text, cited)
        return None if claims.problems(text, cited) or replies.style(text) else text


_SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def _gathered(
    known: Mapping[str, Activity],
    traits: Mapping[str, Traits],
    ruled: tuple[tuple[Point, ...], tuple[Omission, ...]],
    summaries: Sequence[Summary],
) -> tuple[list[Point], dict[str, Omission]]:
    """All points and omissions of the window; what nobody told of speaks for itself.

    A point loses the cites that are not in the window any more, and goes with the last of them.
    """
    said: list[Point] = []
    for point in (*ruled[0], *(point for summary in summaries for point in summary.points)):
        cites = tuple(key for key in point.cites if key in known)
        if cites == point.cites:
            said.append(point)
        elif cites:
            said += _alone(cites, known, traits)
    told = {key for point in said for key in point.cites}
    omissions = (*ruled[1], *(one for summary in summaries for one in summary.omitted))
    omitted = {one.key: one for one in omissions if one.key in known and one.key not in told}
    for key in known:
        if key not in told and key not in omitted:
            made = points.extract(known[key], traits)
            if isinstance(made, Point):
                said.append(made)
            else:
                omitted[key] = made
    return said, omitted


def _alone(
    keys: Iterable[str], known: Mapping[str, Activity], traits: Mapping[str, Traits]
) -> list[Point]:
    """Lines of the activities themselves, for a text that spoke of more than is there."""
    made = (points.extract(known[key], traits) for key in keys)
    return [one for one in made if isinstance(one, Point)]


def _headline(
    told: Sequence[Point], known: Mapping[str, Activity], stats: Stats, desk: _Desk
) -> tuple[str, tuple[str, ...]]:
    """The headline and what proves it: the engine's sentence, else the facts and the first point.

    Releases are told by their names; what mattered in them is the first of the other points. What
    is only proposed is left to the points, where anything was done.
    """
    if not known:
        return "No activity in this window.", ()
    facts = _facts(stats, sum(map(_automatic, known.values())))
    if not told:
        return f"{facts}; nothing that needs telling.", ()
    releases = [point for point in told if point.section is Section.RELEASES]
    rest = [point for point in ranked(told) if point not in releases]
    done = [point for point in rest if not all(one.is_proposal for one in _cited([point], known))]
    top = (done or rest)[:HEADLINE_POINTS]
    if len(top) > 1:
        cited = _cited(top, known)
        text = desk.headline([point.text for point in top], cited) or ""
        spoken = [one for one in cited if claims.covers(text, one)]
        first = any(one.key in top[0].cites for one in spoken)
        if first and not claims.problems(text, spoken):
            return text, tuple(one.key for one in spoken)
    released = [point.text.rstrip(".") for point in ranked(releases)[:1]]
    first_point = [point.text.rstrip(".") for point in top[:1]]
    lines = "; ".join([*released, *first_point])
    cites = [key for point in (*ranked(releases)[:1], *top[:1]) for key in point.cites]
    return f"{facts}; most of all: {lines}.", tuple(dict.fromkeys(cites))


def _cited(points: Iterable[Point], known: Mapping[str, Activity]) -> list[Activity]:
    return [known[key] for key in dict.fromkeys(key for point in points for key in point.cites)]


_AUTHORS = (Role.AUTHOR, Role.CO_AUTHOR)


def _automatic(activity: Activity) -> bool:
    """Whether it is a commit that machines alone wrote."""
    wrote = [credit.person.bot for credit in activity.credits if credit.role in _AUTHORS]
    return activity.kind is Kind.COMMIT and bool(wrote) and all(wrote)


def _facts(stats: Stats, automatic: int) -> str:
    """What happened, counted: `12 commits and 1 release by 3 people, and 2 commits by bots`."""
    told = [
        _counted(number, noun)
        for number, noun in (
            (stats.commits - automatic, "commit"),
            (stats.pull_requests, "pull request"),
            (stats.issues, "issue"),
            (stats.releases, "release"),
        )
        if number
    ]
    listed = " and ".join(filter(None, (", ".join(told[:-1]), *told[-1:])))
    people = "1 person" if stats.authors == 1 else f"{stats.authors:,} people"
    by_people = f"{listed} by {people}" if listed and stats.authors else listed
    by_bots = f"{_counted(automatic, 'commit')} by bots" if automatic else ""
    return ", and ".join(filter(None, (by_people, by_bots))) or "Some activity"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"


def _ledger(
    census: Census,
    activities: Sequence[Activity],
    told: Sequence[Point],
    omitted: Mapping[str, Omission],
) -> tuple[LedgerEntry, ...]:
    """Where the activities of each kind went; kinds of which there is nothing are left out."""
    cited = {key for point in told for key in point.cites}
    entries = []
    for kind in Kind:
        found = [activity for activity in activities if activity.kind is kind]
        expected = census.expected.get(kind, 0)
        if expected or found:
            entries.append(
                LedgerEntry(
                    kind=kind,
                    expected=expected,
                    fetched=len(found),
                    summarized=sum(1 for one in found if one.key in cited),
                    omitted=tuple(omitted[one.key] for one in found if one.key in omitted),
                    redacted=sum(one.redacted for one in found),
                )
            )
    return tuple(entries)


def _missing(ledger: Iterable[LedgerEntry]) -> Iterable[str]:
    for entry in ledger:
        noun = entry.kind.replace("_", " ") + ("" if entry.expected == 1 else "s")
        if entry.expected > entry.fetched:
            gone = entry.expected - entry.fetched
            yield f"{gone:,} of {entry.expected:,} {noun} could not be read."
        elif entry.expected < entry.fetched:
            yield f"The source counted {entry.expected:,} {noun} and gave {entry.fetched:,}."


def _provenance(summaries: Sequence[Summary], desk: _Desk) -> Provenance:
    """What it cost, and which engine and models really answered."""
    usage = sum((summary.usage for summary in summaries), desk.usage)
    asked = [s for s in summaries if s.usage.calls or s.usage.cache_hits]
    engines = [*(summary.engine for summary in asked), *([desk.engine.name] if desk.model else [])]
    models = [*(summary.model for summary in asked), *([desk.model] if desk.model else [])]
    return Provenance(
        engine=", ".join(dict.fromkeys(filter(None, engines))) or "none",
        model=", ".join(dict.fromkeys(filter(None, models))) or "none",
        prompt_version=prompts.version(),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        engine_calls=usage.calls,
        cache_hits=usage.cache_hits,
    )
