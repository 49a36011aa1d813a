"""The bench of answer quality counts what it says it counts; no model is asked here."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from bench.quality import gather, score, second, table, windows
from bench.quality.score import Score
from bench.quality.table import Row
from bench.quality.windows import Entry
from sparky.model import Origin
from tests import factories as make
from tests import repositories

GAUGE, LAMP, VALVE = (make.commit(n, title) for n, title in enumerate(("a", "b", "c"), 1))


def entry(*commits: str, terms: tuple[str, ...] = ("gauge", "litres", "rounding")) -> Entry:
    return Entry((12,), terms, commits)


def test_an_entry_is_told_by_a_point_that_cites_its_commit_and_has_its_words() -> None:
    """To cite is not to tell, to tell of another commit is neither, and nobody can tell the rest."""
    digest = make.digest(
        points=(
            make.point("Fixed the rounding of the fuel gauge.", cites=(GAUGE.key,)),
            make.point("3 changes: something else", cites=(LAMP.key,)),
            make.point("Fixed the rounding of the fuel gauge.", cites=(VALVE.key,)),
        )
    )
    wanted = [entry(GAUGE.oid), entry(LAMP.oid), entry("0" * 40), entry()]
    assert score.entries(digest, wanted) == (3, 2, 1)


@pytest.mark.parametrize(
    ("text", "terms", "told"),
    [
        ("Fixed rounding in gauges.", ("gauge", "rounding", "tank"), True),
        ("Fixed rounding.", ("gauge", "rounding", "tank"), False),
        ("Fixed rounding.", ("rounding",), True),
        ("Added `--quiet` to the parser.", ("--quiet", "parser"), True),
        ("Added it.", (), True),
    ],
)
def test_two_terms_tell_an_entry(text: str, terms: tuple[str, ...], told: bool) -> None:
    """Two of an entry's terms must stand in the text, in any form; all where there are fewer."""
    assert score.tells(make.point(text), entry(terms=terms)) is told


def test_an_entry_that_no_message_tells_cannot_be_told() -> None:
    """Of an entry whose words stand in no message of its commits, no reader of messages can tell."""
    told = Entry((1,), ("gauge", "litres"), ("a" * 40, "b" * 40))
    other = Entry((2,), ("gauge", "gallons"), ("a" * 40,))
    messages = {"a" * 40: "Round the gauge", "b" * 40: "Fix it\n\nThe gauge shows half litres."}
    assert score.tellable(messages, [told, other]) == 1


def test_points_are_counted_by_when_they_passed() -> None:
    """Told at once, told after the repair, told by the title: each group is counted once."""
    a, b, c = ((one.key,) for one in (GAUGE, LAMP, VALVE))
    points = [
        make.point("One.", cites=a),
        make.point("Two.", cites=b),
        make.point("c", cites=c, origin=Origin.EXTRACTIVE),
    ]
    assert score.passed([a, b, c], [b, c], points) == (1, 1, 1)
    assert score.passed([(*a, *b), c], [], points) == (1, 0, 1)
    assert score.passed([], [], points) == (0, 0, 0)


SOURCE = """commit abc
    Round the fuel gauge to 0.5 litres

    See HTTPAdapter.send() and `--quiet`. Thanks to Ada Byron.
diff --git a/src/gauge.py b/src/gauge.py
+    return round_half(level)
"""


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Rounded the fuel gauge to 0.5 litres.", []),
        ("Rounded the fuel gauge to 5 litres.", ["5"]),
        ("Rounded the fuel gauge to 0.55 litres.", ["0.55"]),
        ("Changed round_half in src/gauge.py.", []),
        ("Changed round_whole in src/gauges.py.", ["round_whole", "src/gauges.py"]),
        ("Changed HTTPAdapter.send() for --quiet.", []),
        ("Changed `HTTPAdapter.close`.", ["HTTPAdapter.close"]),
        ("Rounded the gauge for Ada.", []),
        ("Rounded the gauge for Grace.", ["Grace"]),
        ("Rounded the gauge. Thanks to Ada.", []),
        ("3 changes in src: rounded the gauge and 2 more", []),
        ("Changed 4 files (+9 -1)", []),
    ],
)
def test_second_look_finds_what_the_data_does_not_hold(text: str, claims: list[str]) -> None:
    """Numbers, names, paths and people stand whole in messages, paths or diffs, or are found out."""
    assert second.unfounded(text, SOURCE) == claims


def test_second_look_reads_the_diffs(tmp_path: Path) -> None:
    """What only the diff of a cited commit says bears a claim out; another commit's does not."""
    repository = repositories.Repository(tmp_path / "r")
    one = repository.commit("Add a pump", {"pump.py": "PRESSURE = 80\n"})
    two = repository.commit("Add a lamp", {"lamp.py": "WATTS = 5\n"})
    data = second.Data(repository.path)
    digest = make.digest(
        headline="Added a pump.",
        headline_cites=(f"commit:{one}",),
        points=(
            make.point("Added a pump of PRESSURE 80.", cites=(f"commit:{one}",)),
            make.point("Added a lamp of PRESSURE 80.", cites=(f"commit:{two}",)),
        ),
    )
    assert [(f.claim, f.cites) for f in second.look(digest, data)] == [
        ("PRESSURE", (f"commit:{two}",)),
        ("80", (f"commit:{two}",)),
    ]


CHANGELOG = """# Changes

## 2.0 (2026-03-09)

- Round the `fuel_gauge` to half
  a litre. (#12)
* Nothing that anybody numbered.

## 1.0 (2026-01-01)

- Add the lamp. (#7)
"""


def test_gathering_keeps_numbers_commits_and_words_of_one_version(tmp_path: Path) -> None:
    """Of the wanted version each entry has its numbers, its commits, and words in no sentence."""
    repository = repositories.Repository(tmp_path / "r")
    repository.commit("Start", {"CHANGES.md": CHANGELOG}, at=make.at(-100))
    found = repository.commit("Round it (#12)", {"a": "1"}, at=make.at(1))
    repository.commit("Add the lamp (#7)", {"b": "1"}, at=make.at(2))
    repository.commit("Release 2.0\n\n#12", {"c": "1"}, at=make.at(3))
    made = gather.gather(
        repository.path,
        name="rocket-2.0",
        repository="https://example.org/acme/rocket.git",
        licence="MIT",
        since="2026-03-01",
        until="2026-03-31",
        changelog="CHANGES.md",
        versions=["2.0"],
    )
    assert [(e.numbers, e.commits) for e in made.entries] == [((12,), (found,)), ((), ())]
    assert made.entries[0].terms == ("fuel_gauge", "half", "litre", "round")
    assert made.commits == 3
    assert made.clone == "acme__rocket.git"


def test_the_test_set_is_what_its_readme_says() -> None:
    """At least 12 windows of 6 public projects, each with entries, its origin and its licence."""
    known = list(windows.load())
    assert len(known) >= 12
    assert len({one.repository for one in known}) >= 6
    for one in known:
        assert one.repository.startswith("https://")
        assert one.licence
        assert one.changelog
        assert 15 <= one.commits <= 100
        assert any(entry.commits for entry in one.entries)
        assert all(list(e.terms) == sorted(e.terms) and len(e.terms) <= 8 for e in one.entries)


def row(window: str, told: int, **changes: str) -> Row:
    made = Row("fake", "fake-1", "1.1", window, "2026-03-02", Score(entries=10, told=told))
    return replace(made, **changes)


def test_prompts_are_compared_over_the_windows_that_both_have(tmp_path: Path) -> None:
    """A window that one prompt was not tried on counts for neither, and a new figure replaces."""
    path = tmp_path / "results.json"
    table.store([row("a", 3), row("b", 9), row("a", 1, prompt="1.2")], path)
    table.store([row("a", 4)], path)
    sums, common = table.together(table.load(path))
    assert common == ("a",)
    assert {maker: one.told for maker, one in sums.items()} == {
        ("fake-1", "1.1"): 4,
        ("fake-1", "1.2"): 1,
    }
    shown = io.StringIO()
    console = Console(width=100, file=shown)
    console.print(table.table(sums))
    assert "4 (40 %)" in shown.getvalue()
