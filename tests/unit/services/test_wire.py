"""The client and the keeper understand each other."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sparky.errors import ServiceError
from sparky.services import wire
from sparky.services.wire import Endpoints, Wanted

paths = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).map(Path)


@given(st.booleans(), st.booleans(), st.none() | paths, st.text())
def test_what_is_wanted_arrives_on_one_line(
    postgres: bool, valkey: bool, llama: Path | None, name: str
) -> None:
    wanted = Wanted(postgres, valkey, llama)
    raw = wire.wanted_line(wanted, name)
    assert raw.count(b"\n") == 1
    assert wire.read_wanted(raw) == (wanted, name)


def test_endpoints_and_errors_arrive_whole() -> None:
    ends = Endpoints("a", "b", "c", "d")
    assert Endpoints(**json.loads(wire.endpoints_line(ends))["endpoints"]) == ends
    error = ServiceError("it broke", remedy="Mend it.")
    said = json.loads(wire.error_line(error))["error"]
    assert str(ServiceError(said["message"], remedy=said["remedy"])) == "it broke. Mend it."


def test_the_api_key_is_not_shown() -> None:
    assert "hidden" not in repr(Endpoints(llm_api_key="hidden"))
