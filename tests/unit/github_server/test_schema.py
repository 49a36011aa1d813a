"""The schema is the published one, and questions are checked against it."""

import hashlib
import lzma

import pytest

from tests.github import schema
from tests.github.client import Client
from tests.github.server import Server


def test_the_file_is_the_version_that_is_named() -> None:
    """Nobody changes the schema without saying which version it is now."""
    raw = lzma.decompress(schema.FILE.read_bytes())
    assert hashlib.sha256(raw).hexdigest() == schema.SHA256
    readme = (schema.FILE.parent / "README.md").read_text()
    assert schema.SHA256 in readme
    assert schema.VERSION in readme


def test_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema with another hash is not loaded."""
    monkeypatch.setattr(schema, "SHA256", "0" * 64)
    with pytest.raises(ValueError, match=r"15\.26\.1"):
        schema.text()


def test_a_query_that_does_not_fit_the_schema_is_told_so(client: Client) -> None:
    """Misspelt fields are found before anything is executed."""
    (error,) = client.errors("{ viewer { logn } }")
    assert "logn" in error["message"]
    assert client.server.accounting.points() == 0


def test_a_field_without_an_answer_fails_by_name(client: Client) -> None:
    """What the local server does not know is never an empty answer."""
    (error,) = client.errors("{ viewer { bioHTML isHireable } }")
    assert "User.bioHTML" in error["message"]


def test_times_are_utc_in_whole_seconds(client: Client, github: Server) -> None:
    """DateTime is ISO 8601 with Z, as the schema's description of the scalar says."""
    one = next(iter(github.world))
    query = "query($id: ID!) { node(id: $id) { ... on Repository { pushedAt } } }"
    at = client.data(query, id=one.id)["node"]["pushedAt"]
    assert at.endswith("Z")
    assert schema.to_time(at) == one.pushed_at
