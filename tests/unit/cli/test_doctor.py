"""`sparky doctor` as a user sees it, where nothing may be started."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.conftest import Sparky

SECRET = "s3cr3t-of-the-house"


@pytest.fixture(autouse=True)
def _no_port_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower's port may be in use where the tests run; that is a warning, not a failure."""
    monkeypatch.setenv("SPARKY_FLOWER_PORT", "5556")


def test_a_machine_where_all_is_well_ends_with_0(sparky: Sparky) -> None:
    outcome = sparky("doctor", "--no-start")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("ok   settings: ")
    assert any(line.startswith("warn weights: ") for line in lines)
    assert not any(line.startswith("fail") for line in lines)


def test_wrong_settings_are_a_finding_and_do_not_hide_the_machine(
    sparky: Sparky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKY_LLM_URI", "http://gpu:1")
    outcome = sparky("doctor", "--no-start")
    assert outcome.code == 1
    assert outcome.out.startswith(
        "fail settings: unknown setting SPARKY_LLM_URI in the environment\n"
        "     Did you mean SPARKY_LLM_URL?\n"
    )
    assert "ok   git: " in outcome.out


def test_a_failure_ends_with_1_and_json_holds_every_finding_but_no_secret(
    sparky: Sparky, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SPARKY_DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/sparky",
        "SPARKY_BROKER_URL": f"redis://:{SECRET}@127.0.0.1:1/0",
        "SPARKY_LLM_KIND": "openai",
        "SPARKY_LLM_URL": "http://127.0.0.1:1",
        "SPARKY_LLM_API_KEY": SECRET,
        "SPARKY_FLOWER_PASSWORD": SECRET,
    }.items():
        monkeypatch.setenv(name, value)
    outcome = sparky("doctor", "--no-start", "--json")
    assert outcome.code == 1
    assert SECRET not in outcome.out + outcome.err
    report = json.loads(outcome.out)
    assert report["ok"] is False
    failed = {finding["part"] for finding in report["findings"] if finding["health"] == "fail"}
    assert failed == {"database", "broker", "engine"}
    assert all(finding["remedy"] for finding in report["findings"] if finding["part"] in failed)
