"""What happened between two looks at a repository."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sparky.facts import Facts
from sparky.lifecycle import Event, Look, Turn, events, states

FACTS = st.builds(
    Facts, archived=st.booleans(), private=st.booleans(), empty=st.booleans(), fork=st.booleans()
)
LOOKS = st.builds(
    Look,
    name=st.sampled_from(["acme/a", "acme/b", "Acme/A", "other/a"]),
    facts=st.none() | FACTS,
    missing=st.sampled_from(["", "is not there"]),
)
OPPOSITE = {
    Turn.RENAMED: Turn.RENAMED,
    Turn.TRANSFERRED: Turn.TRANSFERRED,
    Turn.ARCHIVED: Turn.UNARCHIVED,
    Turn.UNARCHIVED: Turn.ARCHIVED,
    Turn.MADE_PRIVATE: Turn.MADE_PUBLIC,
    Turn.MADE_PUBLIC: Turn.MADE_PRIVATE,
    Turn.EMPTIED: Turn.FILLED,
    Turn.FILLED: Turn.EMPTIED,
}


@given(LOOKS)
def test_nothing_happens_between_two_equal_looks(look: Look) -> None:
    assert events(look, look) == ()


@given(LOOKS, LOOKS)
def test_what_happened_can_be_undone(before: Look, after: Look) -> None:
    """The way back tells the opposite of everything, while it may be read."""
    if before.missing or after.missing:
        return
    there, back = events(before, after), events(after, before)
    assert [OPPOSITE[one.turn] for one in there] == [one.turn for one in back]


@given(LOOKS, LOOKS)
def test_one_that_cannot_be_read_tells_of_nothing_else(before: Look, after: Look) -> None:
    told = [one.turn for one in events(before, after)]
    if after.missing:
        assert told == ([] if before.missing else [Turn.UNREADABLE])
    else:
        assert (Turn.READABLE in told) == bool(before.missing)


def test_another_owner_is_a_transfer_and_another_case_is_none() -> None:
    assert events(Look("acme/a"), Look("other/b")) == (
        Event(Turn.TRANSFERRED, "acme/a", "other/b"),
    )
    assert events(Look("acme/a"), Look("Acme/A"))[0].turn is Turn.RENAMED


def test_events_read_as_sentences() -> None:
    assert str(Event(Turn.RENAMED, "acme/a", "acme/b")) == "renamed from acme/a to acme/b"
    assert str(Event(Turn.UNREADABLE, now="is not there")) == "unreadable: it is not there"
    assert str(Event(Turn.ARCHIVED)) == "archived"


def test_states_are_told_in_words() -> None:
    facts = Facts(archived=True, private=True, fork=True, empty=True, kilobytes=3)
    assert states(facts, None, huge=3071) == ("archived", "private", "fork", "empty", "huge")
    assert states(facts, "is not there", huge=3072) == ("unreadable",)
    assert states(Facts(kilobytes=3), None, huge=3072) == states(None, None, huge=0) == ()
