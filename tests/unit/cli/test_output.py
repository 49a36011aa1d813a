"""What reaches a terminal or a file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.cli import output
from tests import factories

COMMANDS = "\x1b[2J\x9b2J\x07\x08\r\u202e\u2066\udcff"
"""What clears a screen, rings, goes back, reverses, or is no character at all."""


def test_text_for_a_terminal_keeps_its_words_lines_and_signs() -> None:
    text = "Füge zwei Zeilen 🎉 hinzu:\n\t— eins\n"
    assert output.harmless(text) == text


@given(st.text(st.characters(categories=["C", "L", "Zs"])))
def test_no_control_character_but_tab_and_newline_gets_through(text: str) -> None:
    shown = output.harmless(text)
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown if c not in "\t\n")
    assert not set(shown) & set(
        "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


@given(st.dictionaries(st.text(), st.text(st.characters())))
def test_harmless_json_says_the_same_as_json(value: dict[str, str]) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    harmless = output.harmless_json(text)
    assert json.loads(harmless) == value
    assert output.harmless(harmless) == harmless


def test_a_table_that_is_not_in_a_terminal_is_a_line_a_row(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("a", "b"), [("one", "two\tand\nthree"), ("1", COMMANDS)])
    assert capsys.readouterr().out == "one\ttwo and three\n1\t[2J2J\n"


@pytest.mark.parametrize("form", ["md", "html", "json"])
def test_a_digest_cannot_command_the_terminal(
    capsys: pytest.CaptureFixture[str], form: str
) -> None:
    output.digests([factories.digest()], form, lambda digest: f"“{COMMANDS}”")
    out = capsys.readouterr().out
    assert out == output.harmless(out)
    assert out.startswith("“")


def test_digests_are_written_one_after_another(capsys: pytest.CaptureFixture[str]) -> None:
    found = [factories.digest(), factories.digest(revision=2)]
    output.digests(found, "json", lambda digest: json.dumps({"revision": digest.revision}))
    assert capsys.readouterr().out == '{"revision": 1}\n{"revision": 2}\n'
