"""What an engine's reply may look like."""

from __future__ import annotations

import pytest

from sparky import replies


@pytest.mark.parametrize(
    "text",
    [
        "Fixed the whistle of the kettle, which stayed silent below 3 litres.",
        "Added `WalkBuilder::empty` and `WalkBuilder::from_iter`.",
        "Raised the upper limit of chardet to 8.0.",
        "Theme files may be nested.",
    ],
)
def test_one_short_sentence_on_what_was_done_passes(text: str) -> None:
    """Versions and names with dots in them end no sentence."""
    assert replies.style(text) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("When a visitor panics, all workers stop.", "does not begin"),
        ("These weren't really necessary.", "does not begin"),
        ("Removed the groups. They were not needed.", "more than one sentence"),
        ("Added " + "one more thing and " * 9, "too long"),
    ],
)
def test_what_was_copied_out_of_a_message_is_refused(text: str, reason: str) -> None:
    """A passage of a message is no point, however true it is."""
    assert any(reason in fault for fault in replies.style(text))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Fixed the gauge. It was wrong.", "Fixed the gauge."),
        ("Raised the limit to 8.0 in `a.b`.", "Raised the limit to 8.0 in `a.b`."),
        ("Hm. Fixed the gauge.", "Hm. Fixed the gauge."),
    ],
)
def test_first_sentence_ends_at_the_next(text: str, first: str) -> None:
    """What goes on after the first sentence is left out, dots in names aside."""
    assert replies.first_sentence(text) == first


def test_code_begins_no_sentence() -> None:
    """What is left of a sentence whose beginning was cut off is no point, nor are two in one."""
    broken = "`SYSTEM` for `core.file`. `path()` reads `$HOME/.gitconfig`."
    assert replies.style(broken) == [
        "does not begin with what was done, such as Added or Fixed",
        "is more than one sentence",
    ]
    assert replies.style("Added `SYSTEM` for `core.file`.") == []


def test_what_json_spells_and_nobody_sees_is_no_part_of_a_point() -> None:
    """A message that makes a model write it cannot keep the summary from being stored."""
    answer = '{"points": [{"cites": ["c1"], "text": "added \\u0000a \\ud83dthing\\u200b"}]}'
    found, refused = replies.points(answer, {"c1"})
    assert [reply.text for reply in found] == ["Added a thing."]
    assert refused == ()
