"""Order, traits, counts and contributions of activities."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky import activity, mentions, words
from sparky.model import Activity, Change, Kind, Role, Traits
from tests import factories as make

DATA = Path(__file__).parents[1] / "data" / "changes"


def rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def seen(title: str, *paths: str, **changes: object) -> Traits:
    """The traits of a commit with this title that touches these files."""
    files = tuple(make.file_change(path) for path in paths or ("src/engine.py",))
    return activity.traits(make.commit(1, title, **({"files": files} | changes)))


# Order


@given(st.permutations(make.history(6) + make.history(6)))
def test_the_order_of_the_input_changes_nothing(shuffled: list[Activity]) -> None:
    """Each key comes once, oldest first, however the input is ordered and repeated."""
    assert activity.arrange(shuffled) == make.history(6)


def test_two_activities_at_the_same_second_keep_their_order() -> None:
    """Equal times are ordered by key, so two runs cannot differ."""
    first, second = make.commit(1, at=make.at(0)), make.commit(2, at=make.at(0))
    assert activity.arrange([first, second]) == activity.arrange([second, first])


def test_the_later_reading_of_a_pull_request_is_kept() -> None:
    """A pull request that was read open and merged counts as merged."""
    opened = make.pull_request(3, state="opened", at=make.at(1))
    merged = make.pull_request(3, state="merged", at=make.at(2))
    assert activity.arrange([merged, opened]) == (merged,)


# Kinds of change


@pytest.mark.parametrize("row", rows("examples.tsv"), ids=lambda row: row["title"])
def test_the_kind_of_an_example(row: dict[str, str]) -> None:
    """A title of a common form, with the files it touches, has the kind that a reader sees."""
    found = seen(row["title"], *row["paths"].split())
    assert found.change == row["change"], found.reasons


def test_every_kind_but_merge_has_an_example() -> None:
    """No kind of change can be lost without a test that notices."""
    named = {row["change"] for row in rows("examples.tsv")}
    assert named == {change.value for change in Change} - {"merge"}


def test_the_labelled_histories_are_enough_to_measure_with() -> None:
    """The measurement stands on 150 commits of five repositories or more, a part of them held out."""
    labelled = rows("labels.tsv")
    held = [row for row in labelled if row["part"] == "held"]
    assert len({row["oid"] for row in labelled}) == len(labelled) >= 150
    assert len({row["repo"] for row in labelled}) >= 5
    assert len(held) >= 150
    assert {row["label"] for row in labelled} <= {change.value for change in Change}


def test_a_merge_is_a_merge_whatever_it_says() -> None:
    """Two parents outweigh every word."""
    assert activity.traits(make.merge(title="Fix the gauge")).change is Change.MERGE


def test_a_body_that_reverts_a_commit_makes_a_revert() -> None:
    """A revert with a title of its own is known by the sentence that git writes."""
    found = seen(
        "Send one request again", body=f"It was slow.\n\nThis reverts commit {make.oid(3)}."
    )
    assert found.change is Change.REVERT


@pytest.mark.parametrize(
    ("labels", "change"),
    [
        (("bug",), Change.FIX),
        (("type: enhancement",), Change.FEATURE),
        (("documentation", "security"), Change.SECURITY),
        (("dependencies",), Change.DEPENDENCY),
    ],
)
def test_a_label_says_the_kind_where_the_title_does_not(
    labels: tuple[str, ...], change: Change
) -> None:
    """What maintainers marked is believed."""
    assert activity.traits(make.pull_request(title="The gauge", labels=labels)).change is change


def test_an_issue_changes_nothing() -> None:
    """A reported bug is no fix."""
    assert (
        activity.traits(make.issue(title="Fix the gauge", labels=("bug",))).change is Change.OTHER
    )


def test_a_bot_that_updates_dependencies_needs_no_words() -> None:
    """What such a bot writes is an update even where its title has another form."""
    author = (make.credit(make.bot("renovate[bot]")),)
    found = seen("Refresh pump", "pyproject.toml", credits=author)
    assert found.change is Change.DEPENDENCY


@pytest.mark.parametrize(
    ("title", "body", "labels"),
    [
        ("feat!: answer in JSON", "", ()),
        ("refactor(api)!: rename a field", "", ()),
        ("💥 Rename a field", "", ()),
        ("Rename a field", "BREAKING CHANGE: `a` is now `b`.", ()),
        ("Rename a field", "", ("semver: major",)),
        ("Rename a field", "", ("type: breaking change",)),
        ("Drop support for Python 3.9", "", ()),
        ("Remove deprecated fields", "", ()),
    ],
)
def test_what_breaks_is_seen(title: str, body: str, labels: tuple[str, ...]) -> None:
    """Marks, footers, labels and plain words say that something breaks."""
    found = seen(title, body=body, labels=labels)
    assert found.breaking
    assert any(reason.startswith("breaking") for reason in found.reasons)


@pytest.mark.parametrize(
    ("title", "paths"),
    [
        ("Fix a breaking test", ("tests/test_engine.py",)),
        ("docs: remove deprecated fields", ("docs/fields.md",)),
        ("Mend what breaks", ("src/engine.py",)),
    ],
)
def test_what_only_speaks_of_breaking_breaks_nothing(title: str, paths: tuple[str, ...]) -> None:
    """Tests and documentation break nobody, and a word alone is no mark."""
    assert not seen(title, *paths).breaking


@pytest.mark.parametrize("title", ["wip", ".", "Update", "fix", "Fixes", "Address review comments"])
def test_a_title_that_tells_nothing_is_known(title: str) -> None:
    """Such a title must not become a line of a digest."""
    assert words.is_empty(title)


@pytest.mark.parametrize("title", ["Fix gauge", "Update pump to 2.0", "feat: zoom", "Mend it all"])
def test_a_title_that_tells_something_is_not_empty(title: str) -> None:
    """A short title may still be news."""
    assert not words.is_empty(title)


@pytest.mark.parametrize(
    ("title", "body", "updates"),
    [
        ("Bump httpx from 0.27.0 to 0.28.1", "", ["httpx 0.27.0 → 0.28.1"]),
        ("build(deps): bump acme/pump from 3 to 4 in /web", "", ["acme/pump 3 → 4"]),
        ("chore(deps): update dependency pump to v3 (#12)", "", ["pump to v3"]),
        ("chore(deps): update acme/pump action to v3", "", ["acme/pump to v3"]),
        ("Update pump requirement from <2,>=1.2 to >=1.3,<3", "", ["pump <2,>=1.2 → >=1.3,<3"]),
        ("pump>=2.1,<3", "", ["pump to >=2.1,<3"]),
        (
            "Bump the pumps group with 2 updates",
            "Updates `pump` from 1.0 to 1.1\n- notes\n\nUpdates `tank` from 2 to 3\n",
            ["pump 1.0 → 1.1", "tank 2 → 3"],
        ),
        (
            "[pre-commit.ci] pre-commit autoupdate",
            "updates:\n- [github.com/acme/pump: v1.0 → v1.1](https://example.org)",
            ["acme/pump v1.0 → v1.1"],
        ),
        (
            "fix(deps): update all",
            "| [pump](https://example.org) | [`^1.0` -> `^1.1`](https://example.org) |",
            ["pump ^1.0 → ^1.1"],
        ),
        ("Update README to 2.0", "", []),
        ("Bump version to 2.0.0", "", []),
        ("Update the engine to do less", "", []),
    ],
)
def test_the_names_and_versions_of_updates(title: str, body: str, updates: list[str]) -> None:
    """Only what the text names is named, with its versions."""
    assert [str(bump) for bump in mentions.bumps(title, body)] == updates


@pytest.mark.parametrize("part", ["update a ", "bump a from 1.", "1.1.", "(a) ", "revert ", "| a "])
def test_a_hostile_text_costs_little(part: str) -> None:
    """A title of a million characters is looked at in part: this ends, and soon."""
    text = part * (1_000_000 // len(part))
    found = seen(text, "requirements.txt", body=text)
    assert found.reasons


# Significance

CODE = st.lists(
    st.sampled_from(["src/engine.py", "src/pump.py", "src/tank.py", "src/gauge.py", "src/plan.py"]),
    unique=True,
    max_size=5,
)
TITLES = st.sampled_from([row["title"] for row in rows("examples.tsv")])


@st.composite
def commits(draw: st.DrawFn) -> Activity:
    """A commit of any example's title, on code, with some people and references."""
    files = tuple(
        make.file_change(path, draw(st.integers(0, 900)), draw(st.integers(0, 900)))
        for path in draw(CODE)
    )
    people = draw(st.lists(st.sampled_from(["Ada", "Lin", "Max", "Sam"]), unique=True, max_size=4))
    return make.commit(
        1,
        draw(TITLES),
        files=files,
        body=draw(st.sampled_from(["", "BREAKING CHANGE: it differs."])),
        credits=tuple(make.credit(make.person(name)) for name in people),
        references=tuple(f"issue:{n}" for n in range(draw(st.integers(0, 4)))),
    )


@given(commits())
def test_significance_is_a_share_with_reasons(one: Activity) -> None:
    """It lies between 0 and 1, the same each time, and says why."""
    found = activity.traits(one)
    assert 0 <= found.significance <= 1
    assert found.reasons
    assert found == activity.traits(one)


@given(commits(), st.integers(1, 3000), st.integers(1, 50))
def test_more_of_a_thing_is_never_less_significant(one: Activity, lines: int, files: int) -> None:
    """Lines, files, people, references and a breaking mark only ever lift it."""
    before = activity.traits(one).significance
    newcomer = make.credit(make.person("Newcomer"), Role.CO_AUTHOR)
    for more in (
        replace(one, additions=one.additions + lines),
        replace(one, files_total=one.files_total + files),
        replace(one, credits=(*one.credits, newcomer)),
        replace(one, references=(*one.references, "issue:99")),
        replace(one, body=f"{one.body}\n\nBREAKING CHANGE: all of it."),
    ):
        assert activity.traits(more).significance >= before


def test_a_large_lock_file_counts_for_nothing() -> None:
    """Ten thousand generated lines do not make a small change larger."""
    small = make.commit(files=(make.file_change("src/engine.py", 5, 1),))
    lock = make.file_change("package-lock.json", 9000, 1000)
    large = make.commit(files=(*small.files, lock))
    assert activity.traits(large).significance == activity.traits(small).significance


def test_kinds_stand_in_the_order_a_reader_expects() -> None:
    """With the same size, a security fix outranks a feature, and so on down to a typo."""
    titles = ("Fix CVE-2031-12345", "feat: zoom", "fix: leak", "refactor: pump", "Fix typo")
    ranks = [seen(title).significance for title in titles]
    assert ranks == sorted(ranks, reverse=True)
    assert len(set(ranks)) == len(ranks)


def test_a_breaking_refactoring_outranks_a_plain_feature() -> None:
    """What breaks other people's code is news whatever its kind."""
    assert seen("refactor!: pump").significance > seen("feat: pump").significance


# Counts


def test_merges_are_counted_and_their_lines_are_not() -> None:
    """`commits` includes merges; lines and files are those of the others."""
    own = make.commit(1, files=(make.file_change("a.py", 3, 1), make.file_change("b.py", 2, None)))
    merge = make.merge(2, files=(make.file_change("a.py", 50, 50),))
    found = activity.stats([own, merge, make.release(), make.issue(), make.pull_request()])
    assert (found.commits, found.merges) == (2, 1)
    assert (found.additions, found.deletions, found.files) == (5, 1, 2)
    assert (found.pull_requests, found.issues, found.releases) == (1, 1, 1)


def test_files_beyond_the_cap_are_counted() -> None:
    """A source that names two of five files still has five counted, and shared paths once."""
    capped = make.commit(1, files=(make.file_change("a"), make.file_change("b")), files_total=5)
    other = make.commit(2, files=(make.file_change("a"),))
    assert activity.stats([capped, other]).files == 5


def test_authors_are_people_and_counted_once() -> None:
    """Co-authors count, bots, committers and reporters do not, and case makes no second person."""
    ada = make.person("Ada Byron", email="Ada@Example.org")
    again = make.person("A. Byron", email="ada@example.ORG")
    lin, max_ = make.person("Lin Chen"), make.person("Max Weber")
    found = activity.stats(
        [
            make.commit(1, credits=(make.credit(ada), make.credit(lin, Role.CO_AUTHOR))),
            make.commit(2, credits=(make.credit(again), make.credit(max_, Role.COMMITTER))),
            make.commit(3, credits=(make.credit(make.bot()),)),
            make.issue(credits=(make.credit(max_),)),
        ]
    )
    assert found.authors == 2


def test_an_empty_window_counts_nothing() -> None:
    """No activity, no person, no number."""
    assert activity.stats([]) == make.stats(
        commits=0, merges=0, authors=0, additions=0, deletions=0, files=0
    )
    assert activity.contributions([]) == ()


def test_contributions_put_writers_first_and_bots_last() -> None:
    """Who wrote two commits precedes who merged five, and a bot with ten comes last."""
    ada, lin = make.person("Ada Byron"), make.person("Lin Chen")
    history = [
        *(
            make.commit(n, credits=(make.credit(ada), make.credit(lin, Role.COMMITTER)))
            for n in (1, 2)
        ),
        *(make.merge(n, credits=(make.credit(lin, Role.MERGER),)) for n in (3, 4, 5)),
        *(make.commit(n, credits=(make.credit(make.bot()),)) for n in range(10, 20)),
    ]
    found = activity.contributions(reversed(history))
    assert [(one.name, one.bot, dict(one.roles)) for one in found] == [
        ("Ada Byron", False, {"author": 2}),
        ("Lin Chen", False, {"committer": 2, "merger": 3}),
        ("dependabot[bot]", True, {"author": 10}),
    ]


def test_a_person_goes_by_their_latest_name() -> None:
    """One e-mail is one person, called what they call themselves now."""
    old = make.person("Ada Byron", email="ada@example.org")
    new = make.person("Ada Lovelace", email="ADA@example.org")
    history = (
        make.commit(1, credits=(make.credit(old),)),
        make.commit(2, credits=(make.credit(new),)),
    )
    (found,) = activity.contributions(history)
    assert (found.name, dict(found.roles)) == ("Ada Lovelace", {"author": 2})


def test_one_role_counts_once_an_activity() -> None:
    """A person named twice as co-author of one commit has one co-authorship."""
    twice = make.credit(make.person(), Role.CO_AUTHOR)
    (found,) = activity.contributions([make.commit(credits=(twice, twice))])
    assert dict(found.roles) == {"co_author": 1}


def test_the_kinds_counted_are_all_kinds() -> None:
    """A new kind of activity cannot be forgotten in the counts."""
    assert set(Kind) == {Kind.COMMIT, Kind.PULL_REQUEST, Kind.ISSUE, Kind.RELEASE}
