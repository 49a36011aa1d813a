"""Digests: facts first, one point for what is said twice, few enough points, a ledger that adds up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparky import activity, claims, digests
from sparky.condense import condense
from sparky.errors import BadAnswer, SparkyError, Throttled, Transient
from sparky.merging import merge_same, ranked
from sparky.model import (
    Activity,
    Change,
    Digest,
    Kind,
    Omission,
    Origin,
    Point,
    Section,
    Status,
    Summary,
)
from sparky.ports import Answer, Census, Engine, Prompt
from tests import factories as make

ENGINE = Engine(name="fake", model="fake-1", context=4096)


class Voice:
    """An engine that says one text (or raises one error) whatever it is asked, and remembers."""

    def __init__(self, said: str | SparkyError | Callable[[Prompt], str] = "nothing") -> None:
        self.said = said
        self.prompts: list[Prompt] = []

    def __call__(self, prompt: Prompt) -> Answer:
        self.prompts.append(prompt)
        if isinstance(self.said, SparkyError):
            raise self.said
        text = self.said(prompt) if callable(self.said) else self.said
        return Answer(json.dumps({"text": text}), "fake-1", 100, 10, seconds=1.0)


def compose(
    activities: Sequence[Activity],
    points: Iterable[Point] = (),
    *,
    ask: Callable[[Prompt], Answer] | None = None,
    omitted: tuple[Omission, ...] = (),
    expected: Mapping[Kind, int] | None = None,
    **more: Any,
) -> Digest:
    """A digest whose points come from one summary, over a census that fits unless given."""
    counted = {kind: sum(one.kind is kind for one in activities) for kind in Kind}
    told = make.summary(points=tuple(points), omitted=omitted)
    fields: dict[str, Any] = {
        "repo": make.repo(),
        "window": make.window(),
        "revision": 1,
        "census": Census(expected or counted),
        "activities": activities,
        "traits": {one.key: activity.traits(one) for one in activities},
        "ruled": ((), ()),
        "summaries": (told,) if told.points or told.omitted else (),
        "stats": activity.stats(activities),
        "people": activity.contributions(activities),
        "engine": ENGINE,
        "ask": ask or Voice(),
        "count": lambda text: len(text) // 4,
    }
    return digests.compose(**(fields | more))


GAUGE = make.commit(1, "Fix the fuel gauge")
LAMP = make.commit(2, "Make the oil lamp brighter")
PAIR = (GAUGE, LAMP)


def said(text: str, *cited: Activity, **changes: Any) -> Point:
    return make.point(text, cites=tuple(one.key for one in cited), **changes)


POINTS = (
    said("Fixed the fuel gauge.", GAUGE, significance=0.9),
    said("Made the oil lamp brighter.", LAMP),
)


def accounted(digest: Digest, activities: Iterable[Activity]) -> None:
    """Assert that every activity is cited or omitted, never both, and that the ledger says so."""
    cited = {key for point in digest.points for key in point.cites}
    omitted = [one.key for entry in digest.ledger for one in entry.omitted]
    keys = {one.key for one in activities}
    assert cited <= keys
    assert sorted([*cited, *omitted]) == sorted(keys)
    for entry in digest.ledger:
        assert entry.fetched == entry.summarized + len(entry.omitted)
        assert all(one.reason for one in entry.omitted)


def test_headline_of_the_engine_stands_if_it_holds() -> None:
    """A headline is checked as a point is, and cites what it is made of."""
    digest = compose(
        PAIR, POINTS, ask=Voice("Fixed the fuel gauge and made the oil lamp brighter.")
    )
    assert digest.headline == "Fixed the fuel gauge and made the oil lamp brighter."
    assert digest.headline_cites == (GAUGE.key, LAMP.key)
    assert digest.status is Status.DONE
    accounted(digest, PAIR)


@pytest.mark.parametrize(
    "bad",
    [
        "Fixed 7 fuel gauges.",
        "Removed the oil lamp.",
        "Made the oil lamp brighter.",
        "",
        "Sorry, I cannot.",
        BadAnswer("cut"),
    ],
)
def test_headline_that_does_not_hold_is_computed(bad: str | SparkyError) -> None:
    """Instead of an invented headline, or one without the first point, code writes one."""
    digest = compose(PAIR, POINTS, ask=Voice(bad))
    assert digest.headline == "2 commits by 1 person; most of all: Fixed the fuel gauge."
    assert digest.headline_cites == (GAUGE.key,)


def test_headline_tells_what_was_done_before_what_is_proposed() -> None:
    """A weighty request that nobody merged is a point, and no headline where anything was done."""
    request = make.pull_request(9, "Add a back door", state="opened")
    wanted = said("Proposed to add a back door.", request, significance=1.0)
    digest = compose((GAUGE, request), (wanted, POINTS[0]), ask=Voice("no"))
    assert digest.headline.endswith("most of all: Fixed the fuel gauge.")
    assert wanted in digest.points
    alone = compose((request,), (wanted,))
    assert alone.headline.endswith("most of all: Proposed to add a back door.")


def test_headline_tells_the_release_and_what_mattered() -> None:
    """A release outranks what it holds, and still the headline says what that is."""
    tag = make.release("v1.2.0")
    points = (said("Released v1.2.0", tag, section=Section.RELEASES, significance=0.99), *POINTS)
    digest = compose((*PAIR, tag), points, ask=Voice("no"))
    assert digest.headline == (
        "2 commits and 1 release by 1 person; most of all: Released v1.2.0; Fixed the fuel gauge."
    )
    assert digest.headline_cites == (tag.key, GAUGE.key)


def test_headline_counts_bots_apart() -> None:
    """What machines committed is not told as the people's."""
    robot = make.credit(make.person("dependabot[bot]", bot=True))
    bumps = [make.commit(n, f"Tidy {n}", credits=(robot,)) for n in (3, 4)]
    digest = compose([*PAIR, *bumps], POINTS, ask=Voice("no"))
    assert digest.headline.startswith("2 commits by 1 person, and 2 commits by bots; most of all:")
    alone = compose(bumps, [said("Tidied 3.", bumps[0])], ask=Voice("no"))
    assert alone.headline.startswith("2 commits by bots; most of all:")


def test_a_not_keeps_two_points_apart() -> None:
    """Two texts that differ in a `never` do not say the same."""
    known = [make.commit(n, "Close the red valve before the pump starts") for n in (1, 2)]
    texts = ("Closed the red valve before the pump.", "Never closed the red valve before the pump.")
    points = [said(text, one) for text, one in zip(texts, known, strict=True)]
    assert {p.text for p in compose(known, points).points} == set(texts)


def test_line_that_quotes_no_engine_is_a_rules() -> None:
    """Titles and facts told together by code are no words of an engine."""
    activities, points = many(10)
    own = [replace(point, origin=Origin.EXTRACTIVE) for point in points]
    digest = compose(activities, own, most=4, ask=Voice("no"))
    assert Origin.RULE in {p.origin for p in digest.points if len(p.cites) > 1}
    assert Origin.ENGINE not in {p.origin for p in digest.points}


def test_headline_cites_only_what_it_speaks_of() -> None:
    """Of what the first points cite, the headline cites what it tells."""
    again = make.commit(3, "Mend the mast")
    points = (
        said("Fixed the fuel gauge and mended the mast.", GAUGE, again, significance=0.9),
        POINTS[1],
    )
    digest = compose((*PAIR, again), points, ask=Voice("Fixed the fuel gauge."))
    assert (digest.headline, digest.headline_cites) == ("Fixed the fuel gauge.", (GAUGE.key,))


def test_window_without_activity_asks_nobody() -> None:
    """Nothing happened: the digest says so calmly, and no engine is called."""
    ask = Voice()
    digest = compose((), ask=ask)
    assert digest.headline == "No activity in this window."
    assert (digest.points, digest.ledger, digest.headline_cites) == ((), (), ())
    assert digest.status is Status.DONE
    assert ask.prompts == []
    assert (digest.provenance.engine, digest.provenance.engine_calls) == ("none", 0)


def test_window_of_nothing_but_omissions_says_so() -> None:
    """Activities that nobody needs to know of are counted, not told."""
    merged = make.merge(3)
    digest = compose([merged])
    assert digest.points == ()
    assert digest.headline == "1 commit by 1 person; nothing that needs telling."
    accounted(digest, [merged])


def test_what_nobody_told_speaks_for_itself() -> None:
    """Activities of a chunk that failed are told in their own words, and the digest is partial."""
    digest = compose(PAIR, POINTS[:1], notes=("summarize 12ab stopped: the engine is gone",))
    assert [(p.text, p.origin) for p in digest.points if p.cites == (LAMP.key,)] == [
        ("Make the oil lamp brighter", Origin.EXTRACTIVE)
    ]
    assert digest.status is Status.PARTIAL
    assert digest.notes == ("summarize 12ab stopped: the engine is gone",)
    accounted(digest, PAIR)


def test_missing_activities_make_the_digest_partial() -> None:
    """Where the source counted more than it gave, the digest says how many are missing."""
    digest = compose(PAIR, POINTS, expected={Kind.COMMIT: 1_005})
    assert digest.status is Status.PARTIAL
    assert digest.notes == ("1,003 of 1,005 commits could not be read.",)


def test_notes_of_the_census_inform_and_do_not_make_it_partial() -> None:
    """What a source wants readers to know stands in the notes of a digest that is done."""
    census = Census({Kind.COMMIT: 2}, ("HEAD is detached.",))
    digest = compose(PAIR, POINTS, census=census)
    assert (digest.status, digest.notes) == (Status.DONE, ("HEAD is detached.",))


def test_cites_that_left_the_window_take_their_text_along() -> None:
    """A text about an activity that is not there any more is not kept for the others."""
    gone = make.commit(9, "Paint the tower")
    digest = compose(
        PAIR,
        [
            said("Fixed the fuel gauge and painted the tower.", GAUGE, gone),
            said("Painted it.", gone),
        ],
    )
    assert {p.text for p in digest.points} == {"Fix the fuel gauge", "Make the oil lamp brighter"}
    accounted(digest, PAIR)


def test_omitted_and_told_is_told() -> None:
    """An activity that a point cites is not listed as omitted, too."""
    digest = compose(PAIR, POINTS, omitted=(Omission(LAMP.key, "trivial"),))
    assert [entry.omitted for entry in digest.ledger] == [()]
    accounted(digest, PAIR)


def test_same_statement_twice_is_one_point() -> None:
    """Two points that say the same become one with the cites of both, in the engine's words."""
    again = make.commit(3, "Fix the fuel gauge again")
    points = [
        said("Fix fuel gauge", again, origin=Origin.EXTRACTIVE, significance=0.9),
        said("Fixed the fuel gauge.", GAUGE),
    ]
    merged = merge_same(points, {one.key: one for one in (GAUGE, again)})
    assert [(p.text, p.origin, p.significance) for p in merged] == [
        ("Fixed the fuel gauge.", Origin.ENGINE, 0.9)
    ]
    assert set(merged[0].cites) == {GAUGE.key, again.key}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bump httpx to 0.28", "Bump httpx to 0.27"),
        ("Enable the fuel gauge", "Disable the fuel gauge"),
        ("Fix `gauge.reset`", "Fix `gauge.read`"),
        ("Fix the fuel gauge", "Fix the oil lamp"),
    ],
)
def test_nearly_the_same_statement_stays_apart(one: str, other: str) -> None:
    """Texts that differ in a number, a name or what was done are two points."""
    activities = [make.commit(1, one), make.commit(2, other)]
    points = [
        said(text, a, origin=Origin.EXTRACTIVE)
        for text, a in zip((one, other), activities, strict=True)
    ]
    assert len(merge_same(points, {a.key: a for a in activities})) == 2


def test_points_are_ranked_by_significance() -> None:
    """The most significant point comes first; ties keep one order whatever the input's."""
    points = [
        said("B is here now.", GAUGE, significance=0.5, section=Section.FIXES),
        said("A is here now.", GAUGE, significance=0.5, section=Section.FIXES),
        said("C broke.", LAMP, significance=0.5, section=Section.BREAKING),
        said("D is best.", LAMP, significance=0.9, section=Section.OTHER),
    ]
    expected = ["D is best.", "C broke.", "A is here now.", "B is here now."]
    assert [p.text for p in ranked(points)] == expected
    assert [p.text for p in ranked(reversed(points))] == expected


def many(count: int, folders: int = 5) -> tuple[list[Activity], list[Point]]:
    """Activities about different things in some folders, with a point each."""
    activities = [
        make.commit(
            n,
            f"Fix valve v{n} of tank t{n}",
            files=(make.file_change(f"src/part{n % folders}/valve.py"),),
        )
        for n in range(1, count + 1)
    ]
    points = [
        said(f"Fixed valve v{n} of tank t{n}.", one, significance=n / (2 * count))
        for n, one in enumerate(activities, 1)
    ]
    return activities, points


def test_many_points_become_few_and_keep_the_first() -> None:
    """A hundred points come down to 40: the first half as they were, the rest told together."""
    activities, points = many(100)
    digest = compose(activities, points)
    assert len(digest.points) == digests.MOST_POINTS
    assert [p.text for p in digest.points[:20]] == [p.text for p in ranked(points)[:20]]
    together = [p for p in digest.points if len(p.cites) > 1]
    assert together
    for point in together:
        assert point.text.startswith(f"{len(point.cites)} changes in src/part")
        assert point.origin is Origin.ENGINE  # what it quotes is the engine's
    accounted(digest, activities)


def test_points_told_together_by_the_engine_hold() -> None:
    """A sentence of the engine for several points stands behind the number that code counted."""
    activities = [
        make.commit(n, f"Fix the {name} valve", files=(make.file_change("src/tank/valve.py"),))
        for n, name in enumerate(("red", "blue", "green"), 1)
    ]
    points = [
        said(f"Fixed the {name} valve.", a)
        for name, a in zip(("red", "blue", "green"), activities, strict=True)
    ]
    digest = compose(activities, points, most=1, ask=Voice("Fixed the red, blue and green valve."))
    assert [(p.text, p.origin) for p in digest.points] == [
        ("3 changes in src/tank: fixed the red, blue and green valve.", Origin.ENGINE)
    ]
    lied = compose(activities, points, most=1, ask=Voice("Replaced all 12 valves."))
    assert [(p.text, p.origin) for p in lied.points] == [
        (
            "3 changes in src/tank: fixed the blue valve; Fixed the green valve; Fixed the red valve",
            Origin.ENGINE,
        )
    ]
    accounted(lied, activities)


def test_prompt_that_does_not_fit_is_not_asked() -> None:
    """With a context too small for a request, code tells the points together by itself."""
    activities, points = many(10, folders=1)
    ask = Voice("Fixed the valves.")
    digest = compose(activities, points, most=4, ask=ask, engine=replace(ENGINE, context=200))
    assert ask.prompts == []
    assert len(digest.points) == 4
    accounted(digest, activities)


@pytest.mark.parametrize("error", [Transient("reset"), Throttled("later", until=make.at())])
def test_errors_that_are_no_answers_are_let_through(error: SparkyError) -> None:
    """Whoever runs the step decides about trying again."""
    with pytest.raises(type(error)):
        compose(PAIR, POINTS, ask=Voice(error))


def test_provenance_sums_what_it_cost_and_who_answered() -> None:
    """Calls and tokens of the summaries and of the digest itself, cache hits apart."""

    def cached(prompt: Prompt) -> Answer:
        return replace(Voice("Fixed it.")(prompt), cached=True)

    one: Summary = make.summary(points=POINTS, model="small", engine="llama.cpp")
    other = replace(one, points=(), model="large", engine="vllm")
    made = compose(PAIR, summaries=(one, other), ask=Voice("Fixed it.")).provenance
    assert (made.engine, made.model) == ("llama.cpp, vllm, fake", "small, large, fake-1")
    assert (made.engine_calls, made.cache_hits) == (3, 0)
    assert (made.prompt_tokens, made.completion_tokens) == (1700, 410)
    made = compose(PAIR, summaries=(one,), ask=cached).provenance
    assert (made.engine_calls, made.cache_hits, made.prompt_tokens) == (1, 1, 800)


kinds = st.sampled_from(Change)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Activity], list[Point]]:
    """Activities in a few folders, and points that cite one or several of them."""
    count = draw(st.integers(1, 30))
    activities = [
        make.commit(
            n,
            f"{draw(st.sampled_from(['Fix', 'Add', 'Drop']))} {draw(st.sampled_from(['valve', 'tank', 'x']))} {n}",
            files=(make.file_change(f"src/{draw(st.sampled_from('abc'))}/{n % 3}/f.py"),),
        )
        for n in range(1, count + 1)
    ]
    points = [
        make.point(
            draw(st.sampled_from([cited[0].title, "Fixed the valve.", "Added x"])),
            cites=tuple(one.key for one in cited),
            section=draw(st.sampled_from(Section)),
            origin=draw(st.sampled_from(Origin)),
            significance=draw(st.floats(0, 1)),
        )
        for cited in draw(
            st.lists(st.lists(st.sampled_from(activities), min_size=1, unique=True), max_size=40)
        )
    ]
    return activities, points


@given(
    world=worlds(), most=st.integers(1, 12), text=st.sampled_from(["Fixed the valve.", "no", ""])
)
@settings(max_examples=60)
def test_condensing_ends_and_loses_no_cite(
    world: tuple[list[Activity], list[Point]], most: int, text: str
) -> None:
    """However many points there are, at most `most` are left, and they cite what all cited."""
    activities, points = world
    known = {one.key: one for one in activities}
    calls = 0

    def say(texts: Sequence[str], cited: Sequence[Activity]) -> str | None:
        nonlocal calls
        calls += 1
        assert 1 < len(texts) <= 8
        return text or None

    condensed = condense(points, known, most=most, say=say)
    assert len(condensed) <= max(most, 0)
    assert {k for p in condensed for k in p.cites} == {k for p in points for k in p.cites}
    assert calls < max(1, len(points))


@given(world=worlds(), most=st.integers(1, 12))
@settings(max_examples=60)
def test_condensing_side_by_side_gives_the_same(
    world: tuple[list[Activity], list[Point]], most: int
) -> None:
    """In whatever order the questions of a round are answered, the points are those of one by one."""
    activities, points = world
    known = {one.key: one for one in activities}

    def say(texts: Sequence[str], cited: Sequence[Activity]) -> str:
        return f"Fixed {len(cited)} valves and {len(texts)} tanks."

    def backwards(tell: Callable[[Any], Any], batches: list[Any]) -> list[Any]:
        return [tell(batch) for batch in reversed(batches)][::-1]

    by_turns = condense(points, known, most=most, say=say)
    assert condense(points, known, most=most, say=say, each=backwards) == by_turns


@given(
    world=worlds(), text=st.sampled_from(["Fixed the valve.", "Fixed valve 3 and tank 4.", "no"])
)
@settings(max_examples=60)
def test_every_activity_is_accounted_for(
    world: tuple[list[Activity], list[Point]], text: str
) -> None:
    """Whatever points and answers there are, each activity is cited or omitted, and texts hold."""
    activities, points = world
    known = {one.key: one for one in activities}
    true = [p for p in points if p.origin is not Origin.ENGINE]
    digest = compose(activities, true, ask=Voice(text), most=6)
    accounted(digest, activities)
    cited = [known[key] for key in digest.headline_cites]
    if " by 1 person" not in digest.headline:
        assert claims.problems(digest.headline, cited) == ()
    assert compose(activities, true, ask=Voice(text), most=6) == digest
