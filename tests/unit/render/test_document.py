"""The JSON of a digest holds all of it, as docs/digest.schema.json says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from jsonschema import Draft202012Validator

from sparky.errors import UsageError
from sparky.model import Digest
from sparky.render import as_json, from_document, to_document
from tests import factories, update_goldens
from tests.strategies import plain_digests

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs" / "digest.schema.json").read_text(encoding="utf-8")
)
valid = Draft202012Validator(SCHEMA)


@given(plain_digests)
@example(update_goldens.done())
@example(update_goldens.partial())
def test_json_follows_the_published_schema(digest: Digest) -> None:
    """What `docs/digest.schema.json` promises to readers is what they get."""
    valid.validate(json.loads(as_json(digest)))


@given(plain_digests)
def test_a_document_holds_the_whole_digest(digest: Digest) -> None:
    """A digest read back is the same, but for the place it was read from."""
    digest = replace(digest, repo=replace(digest.repo, location="/srv/x.git"))
    back = from_document(json.loads(as_json(digest)))
    assert back == replace(digest, repo=replace(digest.repo, location=""))


def test_the_schema_refuses_what_it_does_not_know() -> None:
    """A key too many or too few, or an e-mail for a person, is no `sparky.digest/1`."""
    document = to_document(factories.digest())
    assert valid.is_valid(document)
    assert not valid.is_valid(document | {"extra": 1})
    assert not valid.is_valid({key: document[key] for key in document if key != "ledger"})
    person = document["people"][0] | {"email": "ada@example.org"}
    assert not valid.is_valid(document | {"people": [person]})


def test_json_is_valid_utf8_and_harmless_in_a_terminal() -> None:
    """Broken encodings and control characters neither break the output nor steer a terminal."""
    text = as_json(factories.digest(headline="a\udce4b \x9b31m \x1b[31m"))
    text.encode("utf-8")
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert json.loads(text)["headline"] == "a\N{REPLACEMENT CHARACTER}b \x9b31m \x1b[31m"


def test_no_email_and_no_location_leave() -> None:
    """A document tells neither addresses of people nor where the repository is read from."""
    text = as_json(factories.digest(repo=factories.repo(location="/srv/secret-place")))
    assert "@" not in text
    assert "secret-place" not in text


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"schema": "sparky.digest/2"},
        {"schema": "sparky.digest/1"},
        to_document(factories.digest()) | {"points": [{"text": "x"}]},
        to_document(factories.digest()) | {"status": "fine"},
        to_document(factories.digest()) | {"window": {"since": "today", "until": "tomorrow"}},
        to_document(factories.digest()) | {"repo": None},
    ],
)
def test_a_broken_document_is_one_clear_error(broken: dict[str, Any]) -> None:
    """Whatever is wrong with a document, the error says that it is the document."""
    with pytest.raises(UsageError, match=r"sparky\.digest/1"):
        from_document(broken)


@pytest.mark.parametrize("form", update_goldens.FORMS)
@pytest.mark.parametrize("name", update_goldens.DIGESTS)
def test_golden_files(name: str, form: str) -> None:
    """A change of what a reader sees is a visible diff: `python -m tests.update_goldens`."""
    golden = (update_goldens.FOLDER / f"{name}.{form}").read_bytes().decode()
    assert update_goldens.FORMS[form](update_goldens.DIGESTS[name]()) == golden
