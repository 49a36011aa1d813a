"""The check of claims: true sentences pass, invented ones do not, on a labelled set and alone."""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky import claims, prompts
from sparky.claims import verbs
from sparky.claims.lexicon import ACTS, OPPOSITES, supported
from sparky.claims.stems import stems
from sparky.model import Activity, Credit, FileChange, Kind, Role
from tests import factories as make

DATA = Path(__file__).parent.parent / "data" / "claims.toml"


def activity(index: int, fields: dict[str, Any]) -> Activity:
    """An activity of the labelled set."""
    renamed = dict(line.split()[::-1] for line in fields.get("renamed", ()))
    files = []
    for line in fields.get("files", ()):
        path, added, gone = line.split()
        files.append(FileChange(path, int(added), -int(gone), renamed.get(path)))
    people = [make.credit(make.person(fields["author"]))]
    if "reviewer" in fields:
        people.append(Credit(make.person(fields["reviewer"]), Role.REVIEWER))
    kind = Kind(fields.get("kind", "commit"))
    key = f"{kind}:{fields['number']}" if "number" in fields else f"commit:{make.oid(index)}"
    return make.commit(
        index,
        fields["title"],
        key=key,
        kind=kind,
        body=fields["body"],
        state=fields.get("state", ""),
        files=tuple(files),
        credits=tuple(people),
        labels=tuple(fields.get("labels", ())),
        references=tuple(fields.get("references", ())),
    )


def cases() -> Iterator[tuple[tuple[Activity, ...], str, bool, str]]:
    """Activities, a sentence about them, whether it is true, and how it was made."""
    for case in tomllib.loads(DATA.read_text(encoding="utf-8"))["case"]:
        activities = tuple(activity(n, fields) for n, fields in enumerate(case["activities"], 1))
        for text in case["true"]:
            yield activities, text, True, "true"
        for text in case["false"]:
            how, _, sentence = text.partition(": ")
            yield activities, sentence, False, how


LABELLED = list(cases())
TRUE = [(activities, text) for activities, text, label, _ in LABELLED if label]
FALSE = [(activities, text, how) for activities, text, label, how in LABELLED if not label]


def test_labelled_set_is_large_enough_to_mean_something() -> None:
    """There are at least 60 true and 60 false sentences, the false ones of all sorts."""
    sorts = {how for _, _, how in FALSE}
    assert len(TRUE) >= 60
    assert len(FALSE) >= 60
    assert sorts >= {"number", "file", "name", "person", "reason", "other", "negation", "direction"}


def test_true_sentences_pass() -> None:
    """At least 95 in 100 true sentences of the labelled set pass."""
    refused = [text for activities, text in TRUE if claims.problems(text, activities)]
    assert len(refused) <= len(TRUE) * 0.05, refused


def test_false_sentences_are_refused() -> None:
    """No false sentence of the labelled set passes."""
    passed = [
        f"{how}: {text}" for activities, text, how in FALSE if not claims.problems(text, activities)
    ]
    assert passed == []


def test_sentence_about_another_change_is_refused() -> None:
    """A true sentence stands for its own activities and for hardly any others of the set."""
    others = {id(activities): activities for activities, _ in TRUE}
    wrong = [
        text
        for activities, text in TRUE
        for key, other in others.items()
        if key != id(activities) and not claims.problems(text, other)
    ]
    assert wrong == []


GAUGE = make.commit(
    1,
    "Fix the fuel gauge",
    body="It showed 40 litres too many when the tank was below 10 litres.",
    files=(make.file_change("src/gauge.py"), make.file_change("tests/test_gauge.py")),
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("Fixed it.", "too short"),
        ("Fixed the fuel gauge " + "of the tank " * 30, "too long"),
        ("Fixed the fuel gauge the fuel gauge the fuel gauge.", "repeats itself"),
        ("Fixed the fuel gauge. See https://example.org/x.", "link"),
        ("Fixed the [fuel gauge](x).", "link"),
        ("Fixed the <b>fuel gauge</b>.", "HTML"),
        ("Fixed the **fuel gauge**.", "Markdown"),
        ("# Fixed the fuel gauge.", "Markdown"),
        ("Fixed the fuel gauge.<|im_end|>", "chat template"),
        ("[INST] Fixed the fuel gauge.", "chat template"),
        ("Fixed the fuel gauge (a1).", "id"),
        ("As an AI, I fixed the fuel gauge.", "itself"),
        ("This commit fixed the fuel gauge.", "speaks of the change"),
        ("Added a new commit to fix the fuel gauge.", "speaks of the change"),
        ("Исправлен fuel gauge.", "cyrillic"),
        ("Fixed the fuel\u200b gauge.", "hidden"),
        ('{"text": "Fixed the fuel gauge"}', "no prose"),
        ("Fixed a bug.", "says nothing"),
        ("Fixed the fuel gauge for Ada Lovelace.", "names Lovelace"),
        ("Fixed the fuel gauge in commit deadbeefcafe.", "deadbeefcafe"),
        ("Fixed the fuel gauge with gauge.reset().", "names gauge.reset()"),
        ("Fixed the fuel gauge (#12).", "names #12"),
        ('Fixed the "oil gauge" of the tank.', "names oil gauge"),
        ("Fixed the fuel gauge, ensuring accuracy.", "reason"),
    ],
)
def test_fault_is_named(text: str, reason: str) -> None:
    """What is wrong with a text is said in words that name it."""
    assert reason in "; ".join(claims.problems(text, [GAUGE]))


def test_text_without_cites_is_refused() -> None:
    """A text that cites nothing stands for nothing."""
    assert claims.problems("Fixed the fuel gauge.", []) == ("cites nothing",)


def test_example_of_the_prompt_is_refused() -> None:
    """A sentence out of a prompt's example does not come through as a point."""
    leaked = "Fixed the whistle of the kettle, which stayed silent below 3 litres."
    assert leaked in prompts.wording()
    assert "repeats the prompt" in claims.problems(leaked, [GAUGE])


def test_counts_that_code_knows_may_be_told() -> None:
    """Files, lines and activities may be counted, with the right number only."""
    assert claims.problems("Fixed the fuel gauge in two files.", [GAUGE]) == ()
    assert claims.problems("Fixed the fuel gauge in three files.", [GAUGE]) != ()


def test_file_that_is_still_there_is_not_told_as_removed() -> None:
    """A file that only lost lines is not gone, whatever the title says."""
    shorter = make.commit(1, "Remove wrong README", files=(make.file_change("README.md", 1, 99),))
    gone = make.commit(1, "Remove wrong README", files=(make.file_change("README.md", 0, 99),))
    assert "still there" in "; ".join(claims.problems("Removed the wrong README file.", [shorter]))
    assert claims.problems("Removed the wrong README file.", [gone]) == ()


def test_who_reviewed_is_checked_by_part() -> None:
    """A person who wrote a change is not told as the one who reviewed it."""
    change = make.pull_request(
        credits=(
            make.credit(make.person("Ada Byron")),
            Credit(make.person("Lin Chen"), Role.REVIEWER),
        )
    )
    assert claims.problems("The fuel gauge was reviewed by Lin.", [change]) == ()
    assert claims.problems("The fuel gauge was reviewed by Ada.", [change]) != ()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Fixed the fuel gauge to improve accuracy.", "Fixed the fuel gauge."),
        ("Fixed the fuel gauge, making it more robust and reliable.", "Fixed the fuel gauge."),
        ("Fixed the fuel gauge in the dashboard.", "Fixed the fuel gauge."),
        ("Fixed the fuel gauge in the project.", "Fixed the fuel gauge."),
        ("Fixed the fuel gauge, which was causing issues.", "Fixed the fuel gauge."),
        ("Fixed the fuel gauge in the `gauge` component.", "Fixed the fuel gauge in `gauge`."),
        (
            "Fixed the fuel gauge in the gauge.py file.",
            "Fixed the fuel gauge in the gauge.py file.",
        ),
        ("Fixed the fuel gauge.", "Fixed the fuel gauge."),
    ],
)
def test_what_the_activities_do_not_say_is_cut(text: str, kept: str) -> None:
    """An invented end goes, and what is left stands as a sentence."""
    assert claims.trim(text, [GAUGE]) == kept


@pytest.mark.parametrize(
    "text", ["Fixed the oil gauge to improve accuracy.", "Improved accuracy by fixing it.", ""]
)
def test_what_fails_without_its_end_too_is_left_as_it_is(text: str) -> None:
    """Nothing is cut where no beginning of the text passes."""
    assert claims.trim(text, [GAUGE]) == text


def test_area_before_a_title_may_be_missing_from_what_is_kept() -> None:
    """The title's own words are what must stay; its area may be left out."""
    change = make.commit(1, "gauge: add missing marks", body="I think they were lost.")
    text = "Added missing marks, i think they were lost."
    assert claims.trim(text, [change]) == "Added missing marks."


def test_condition_that_the_title_has_is_not_cut() -> None:
    """What narrows a statement stays: without it the statement says too much."""
    narrow = make.commit(1, "Disable the cache in tests")
    text = "Disabled the cache in unit suites."
    assert claims.trim(text, [narrow]) == text


@pytest.mark.parametrize(
    ("title", "true", "false"),
    [
        ("Add regression tests for the cache", "Added tests for the cache.", "Added the cache."),
        (
            "Mark rejected tasks as failed when not requeued",
            "Marked rejected tasks as failed when not requeued.",
            "Marked rejected tasks as failed.",
        ),
        (
            "Use the cache unless it is empty",
            "Used the cache unless it is empty.",
            "Used the cache.",
        ),
    ],
)
def test_what_narrows_a_title_is_not_left_out(title: str, true: str, false: str) -> None:
    """Tests of a thing are not told as the thing, nor a conditional change as one for all."""
    change = [make.commit(1, title)]
    assert claims.problems(true, change) == ()
    assert claims.problems(false, change) != ()


def test_passage_of_a_message_is_told_from_a_sentence_of_its_own() -> None:
    """What stands word for word in a message is a recital."""
    assert claims.recites("It showed 40 litres too many.", GAUGE)
    assert not claims.recites("Fixed the fuel gauge, which showed 40 litres too many.", GAUGE)


def test_text_covers_what_it_speaks_of() -> None:
    """A text speaks of an activity if it shares its telling words, not just any verb."""
    oil = make.commit(2, "Fix the oil lamp")
    assert claims.covers("Fixed the fuel gauge.", GAUGE)
    assert not claims.covers("Fixed the fuel gauge.", oil)
    assert claims.covers("Fixed the fuel gauge and the oil lamp.", oil)


@pytest.mark.parametrize(
    "forms",
    [
        "configure configured configures configuration config",
        "optimise optimize optimised optimization",
        "create creates created creation",
        "cache caches cached caching",
        "retry retries retried",
        "reference references referenced",
        "stop stops stopped stopping",
        "document documented documentation docs",
    ],
)
def test_forms_of_a_word_share_a_stem(forms: str) -> None:
    """Endings, British spelling and short forms do not make another word."""
    assert len(stems(forms)) == 1


def test_opposites_never_stand_for_each_other() -> None:
    """No act is supported by a source that says only its opposite."""
    wrong = [
        (word, other)
        for name, other in OPPOSITES.items()
        for word in ACTS[name]
        if supported(word, ACTS[other])
    ]
    assert wrong == []


words = st.text(alphabet=st.characters(codec="utf-8"), max_size=80)


@given(text=words, title=words, body=words)
def test_any_text_gets_an_answer(text: str, title: str, body: str) -> None:
    """Whatever the text and the activity are, the check and the trim end without an error."""
    cited = [make.commit(1, title, body=body)]
    trimmed = claims.trim(text, cited)
    assert claims.problems(trimmed, cited) == claims.problems(trimmed, cited)
    assert len(trimmed) <= len(text) + 1


@given(number=st.integers(min_value=13, max_value=10**6))
def test_no_number_passes_that_is_not_given(number: int) -> None:
    """A number that no activity gives and code does not count is refused."""
    text = f"Fixed the fuel gauge, which showed {number} litres too many."
    problems = claims.problems(text, [GAUGE])
    assert (problems == ()) == (number == 40)
    assert number == 40 or f"gives the number {number}, which the activities do not" in problems


LET = "Let a window that a shallow clone covers in part make a partial digest"


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (LET, "Added a window that a shallow clone covers in part make a partial digest."),
        (LET, "Allowed a window that a shallow clone covers in part make a partial digest."),
        ("Make the lamp burn longer", "Fixed the lamp burn longer."),
        ("Ensure drivers see the gauge", "Added drivers see the gauge."),
        ("Teach the pump to wait for the valve", "Updated the pump to wait for the valve."),
        ("Respect the height of the teapot", "Removed the height of the teapot."),
        ("Properly close the valve of the pump", "Improved the valve of the pump."),
        ("The valve is closed twice", "Fixed the valve is closed twice."),
        ("Teapots may be green", "Added teapots may be green."),
        ("Only close the valve once", "Fixed only close the valve once."),
        ("The pump no longer leaks", "Fixed no longer leaks the pump."),
    ],
)
def test_another_verb_before_the_same_words_is_refused(title: str, text: str) -> None:
    """What stands behind a verb belongs to it: put behind another one it is no sentence."""
    found = "; ".join(claims.problems(text, [make.commit(1, title)]))
    assert "puts" in found


@pytest.mark.parametrize(
    ("title", "text"),
    [
        (LET, "Let a window that a shallow clone covers in part make a partial digest."),
        ("Let drivers hide the gauge", "Allowed drivers to hide the gauge."),
        ("Introduce a gauge for oil", "Added a gauge for oil."),
        ("Avoid a crash of the pump", "Fixed a crash of the pump."),
        ("Raise the limit of the tank", "Changed the limit of the tank."),
        ("Use brass for the valve", "Used brass for the valve."),
        ("Support teapots of brass", "Added support for teapots of brass."),
        ("Fix the valve that is closed twice", "Fixed the valve that is closed twice."),
        ("Document how the pump is cleaned", "Documented how the pump is cleaned."),
        ("Fix typo, must be pump", "Fixed typo, must be pump."),
        ("Remove the lamp from the gauge board", "Removed the lamp of the gauge board."),
        ("Add the dial of the lamp to the board", "Added the lamp's dial to the board."),
    ],
)
def test_a_verb_that_means_the_same_may_stand(title: str, text: str) -> None:
    """A title told with its own verb, or with one of the same meaning, passes."""
    assert claims.problems(text, [make.commit(1, title)]) == ()


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Put the word approved before every release", "Approved every release."),
        ("Use cached dials of the gauge", "Cached the dials of the gauge."),
        ("Replace the removed pump with brass", "Removed the pump."),
        ("Move the close button of the valve", "Closed the button of the valve."),
        ("Fix a leak when required valves are open", "Required valves are open."),
    ],
)
def test_what_a_title_only_names_is_not_told_as_done(title: str, text: str) -> None:
    """A word that qualifies a thing in the title does not say what was done to the thing."""
    assert "only names it" in "; ".join(claims.problems(text, [make.commit(1, title)]))


@pytest.mark.parametrize(
    ("title", "text"),
    [
        ("Mark the brass valve as deprecated in 2.0", "Deprecated the brass valve in 2.0."),
        ("Keep the dials sorted by size", "Sorted the dials by size."),
        ("Start logging the height of the tank", "Logged the height of the tank."),
        ("Oil the pump and closed valves", "Closed valves and oiled the pump."),
        ("Allow the pump to skip empty tanks", "Skipped empty tanks."),
        ("Keep cached dials of the gauge", "Cached dials of the gauge are kept."),
    ],
)
def test_what_a_title_says_was_done_may_be_told_first(title: str, text: str) -> None:
    """A second verb of the title is no mere name: it has its thing before it, or joins the first."""
    found = claims.problems(text, [make.commit(1, title)])
    assert not any("only names it" in problem for problem in found)


@pytest.mark.parametrize(
    ("title", "body", "text", "holds"),
    [
        ("Call the function drain_tank(name='oil')", "", "Drained the tank named 'oil'.", False),
        ("Call `deleteTank` at exit", "", "Removed the tank at exit.", False),
        (
            "Call the function drain_tank()",
            "It drains the oil tank.",
            "Drained the oil tank.",
            True,
        ),
        ("Add the function drain_tank()", "", "Added the function `drain_tank()`.", True),
    ],
)
def test_a_verb_within_a_name_is_not_told_as_done(
    title: str, body: str, text: str, holds: bool
) -> None:
    """What a function is called says what it does, not what the change did; a message may say both."""
    assert (claims.problems(text, [make.commit(1, title, body=body)]) == ()) is holds


def own_titles() -> list[tuple[str, str]]:
    """The titles of this repository's commits that begin with a verb: the verb, and the rest."""
    root = Path(__file__).resolve().parents[2]
    log = subprocess.run(
        ["git", "-C", str(root), "log", "--no-merges", "--format=%s"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = (line.partition(" ") for line in log.stdout.splitlines())
    return [
        (verb, rest) for verb, _, rest in found if verbs.is_verb(verb) and len(rest.split()) > 2
    ]


@pytest.mark.parametrize("other", ["Added", "Fixed", "Removed", "Changed", "Improved", "Replaced"])
def test_no_real_title_passes_with_another_verb(other: str) -> None:
    """Of the titles of this repository's history, none passes with a verb that means another thing."""
    titles = own_titles()
    assert titles
    passed = [
        text
        for verb, rest in titles
        if not verbs.same(other.casefold(), verb.casefold())
        and not claims.problems(text := f"{other} {rest}.", [make.commit(1, f"{verb} {rest}")])
    ]
    assert passed == []


@pytest.mark.parametrize(
    ("title", "path", "text"),
    [
        ("Fix the lamp to remove soot", "src/lamp.py", "Removed the lamp."),
        ("Limit cleaning of the pump, drop no oil", "src/pump.py", "Dropped cleaning of the pump."),
        ("Add teapot type", "docs/teapots.md", "Added the teapot type."),
        ("Add sample teapot", "tests/teapots/test_green.py", "Added teapot highlighting."),
        ("Remove the lamp from the gauge board", "src/a.py", "Removed the gauge board."),
        ("Add the dial of the lamp to the board", "src/a.py", "Added the board to the lamp dial."),
    ],
)
def test_what_was_done_is_done_to_its_own_object(title: str, path: str, text: str) -> None:
    """A verb from within the title keeps its object, and a page or a test is not the thing itself."""
    change = make.commit(1, title, files=(make.file_change(path),))
    assert claims.problems(text, [change]) != ()


def test_change_log_is_no_change() -> None:
    """A text may speak of the change log, though not of the change."""
    change = make.commit(1, "Fix typos in the change log", files=(make.file_change("CHANGES.md"),))
    assert claims.problems("Fixed typos in the change log.", [change]) == ()
