"""Lists of repositories as files: what is written reads the same, what is wrong names its line."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import UsageError
from sparky.rosters import Entry, Form, read, write

WORD = st.text(string.ascii_letters + string.digits, min_size=1, max_size=8)
LOCATION = st.one_of(
    st.builds("{}/{}".format, WORD, WORD),
    st.builds("https://example.org/{}/{}.git".format, WORD, WORD),
    st.text(
        st.characters(exclude_categories=("C", "Z"), exclude_characters="\ufeff"), min_size=1
    ).map("/srv/{}".format),
    st.sampled_from(['/srv/a,b "c"', "/srv/ö: [x]", "/srv/no", "/srv/a #b", "- x", "~", "null"]),
)
ENTRIES = st.lists(
    st.builds(
        Entry,
        location=LOCATION,
        groups=st.lists(WORD, max_size=3, unique=True).map(lambda names: tuple(sorted(names))),
        id=st.one_of(st.just(""), WORD.map("R_{}".format), WORD.map("git:{}".format)),
    ),
    max_size=12,
    unique_by=lambda one: one.location,
).map(lambda found: list({one.id or one.location: one for one in found}.values()))


def plain(entries: object) -> set[tuple[str, tuple[str, ...], str]]:
    return {(one.location, one.groups, one.id) for one in entries}  # type: ignore[attr-defined]


@given(ENTRIES, st.sampled_from([Form.CSV, Form.YAML]))
def test_what_is_written_reads_the_same(entries: list[Entry], form: Form) -> None:
    assert plain(read(write(entries, form), form)) == plain(entries)


def test_a_list_keeps_the_locations_alone() -> None:
    entries = [Entry("b/c", ("core",), "R_1"), Entry("a/b")]
    assert write(entries, Form.LIST) == "a/b\nb/c\n"
    assert [one.location for one in read("a/b\nb/c\n", Form.LIST)] == ["a/b", "b/c"]


@given(ENTRIES)
def test_the_order_of_what_is_written_is_always_the_same(entries: list[Entry]) -> None:
    """So that a version control shows what has changed."""
    assert write(entries, Form.CSV) == write(entries[::-1], Form.CSV)


@pytest.mark.parametrize("form", Form)
def test_nothing_reads_as_nothing(form: Form) -> None:
    assert read("", form) == ()
    assert read(write([], form), form) == ()


def test_comments_blank_lines_and_a_byte_order_mark_are_left_out() -> None:
    text = "\ufeff# ours\n\nacme/api  # the interface\n  /srv/a#b\n"
    assert [(one.location, one.line) for one in read(text, Form.LIST)] == [
        ("acme/api", 3),
        ("/srv/a#b", 4),
    ]


def test_columns_may_stand_in_any_order_and_groups_have_any_separator() -> None:
    text = "Groups,LOCATION\r\ncore web,acme/a\r\ncore;web,acme/b\r\n,acme/c\r\n"
    found = read(text, Form.CSV)
    assert [(one.location, one.groups) for one in found] == [
        ("acme/a", ("core", "web")),
        ("acme/b", ("core", "web")),
        ("acme/c", ()),
    ]


def test_yaml_may_be_a_plain_list_and_groups_a_single_word() -> None:
    text = "- acme/a\n- location: acme/b\n  groups: core\n- {location: acme/c, groups: [x, y]}\n"
    assert [one.groups for one in read(text, Form.YAML)] == [(), ("core",), ("x", "y")]


def test_one_that_is_named_twice_comes_once_with_all_its_groups() -> None:
    text = "location,groups,id\nacme/a,core,R_1\nacme/old-a,web,R_1\nacme/b,core,\nacme/b,core,\n"
    assert [(one.location, one.groups) for one in read(text, Form.CSV)] == [
        ("acme/a", ("core", "web")),
        ("acme/b", ("core",)),
    ]


WRONG = [
    (Form.CSV, "locaton\na/b\n", r"^line 1: .*location is missing"),
    (Form.CSV, "location,grups\na/b,c\n", "line 1: 'grups' is not known; did you mean groups"),
    (Form.CSV, "location,location\na/b,c\n", "line 1: a column is there twice"),
    (Form.CSV, "location\na/b\nc/d,x\n", "line 3: it has 2 columns, the first line 1"),
    (Form.CSV, "location,groups\na/b,-x\n", "line 2: '-x' is not a name for a group"),
    (Form.CSV, "location,groups\n,x\n", "line 2: there is no location"),
    (Form.CSV, 'location\n"a/b\n', "line 2: this is not CSV"),
    (Form.CSV, 'location,groups\n"a\nb",x\nc/d,-y\n', "line 2: there are char.*; line 4: '-y'"),
    (Form.CSV, "location,id\na/b,R 1\n", "line 2: the id has spaces"),
    (Form.YAML, "a: [b", "line 1: this is not YAML"),
    (Form.YAML, "repos:\n- a/b\n", "line 1: 'repos' is not known; use repositories"),
    (Form.YAML, "repositories: 3\n", "line 1: there must be a list"),
    (Form.YAML, "- a/b\n- [c]\n", "line 2: a repository is a location, or a mapping"),
    (Form.YAML, "- a/b\n- location: c/d\n  group: x\n", "line 3: 'group' is not known; did you"),
    (Form.YAML, "- a/b\n- groups: [x]\n", "line 2: there is no location"),
    (Form.YAML, "- location:\n    - a\n", "line 2: there should be a single word"),
    (Form.YAML, "- a/b\n- !!python/object:os.system {}\n", "line 2: there is no location"),
    (Form.YAML, "- a/b\n- a\x00b\n", "this is not YAML"),
    (Form.LIST, "a/b\nc\u202ed\n", "line 2: there are characters that cannot be shown"),
]


@pytest.mark.parametrize(("form", "text", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_line(form: Form, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        read(text, form)
    assert "Nothing was imported" in caught.value.remedy


def test_all_wrong_lines_are_told_of_at_once() -> None:
    with pytest.raises(UsageError) as caught:
        read("location,groups\n" + "a/b,-\n" * 14, Form.CSV)
    assert caught.value.message.count("is not a name for a group") == 10
    assert caught.value.message.endswith("; and 4 lines more")


@given(st.text(), st.sampled_from(Form))
def test_any_text_reads_or_is_refused_in_one_line(text: str, form: Form) -> None:
    said = outcome(text, form)
    assert said == "" or ("line " in said and "\n" not in said)


def outcome(text: str, form: Form) -> str:
    """What reading it says; empty when it reads."""
    try:
        assert all(one.location for one in read(text, form))
    except UsageError as error:
        return str(error)
    return ""
