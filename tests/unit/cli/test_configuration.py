"""docs/configuration.md, and the settings in force."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sparky.cli.configuration import page
from sparky.settings import SECRETS, EngineSettings, Settings, load
from tests.unit.cli.conftest import Sparky

DOCS = Path(__file__).parents[3] / "docs"
SECRET = "s3cr3t-of-the-house"


def rows() -> dict[str, str]:
    """Environment name → its line of the page."""
    lines = (DOCS / "configuration.md").read_text(encoding="utf-8").splitlines()
    found = (re.match(r"\| `(SPARKY_\w+)` \|", line) for line in lines)
    return {match[1]: match.string for match in found if match}


def test_the_page_is_the_one_that_the_settings_make() -> None:
    """Make it anew with `sparky config docs > docs/configuration.md`."""
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == page()


def test_the_command_prints_the_page(sparky: Sparky) -> None:
    assert sparky("config", "docs").out == page()


def test_the_page_has_every_setting_once_with_its_meaning() -> None:
    assert list(rows()) == [f"SPARKY_{name.upper()}" for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        line = rows()[f"SPARKY_{name.upper()}"]
        assert field.description
        assert field.description in line
        assert (f"`{name}`" in line) == (name != "config")
        assert ("**Secret.**" in line) == (name in SECRETS)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_example_is_a_value_that_the_setting_takes(name: str) -> None:
    (example,) = Settings.model_fields[name].examples or []
    others = {"llm_kind": {"llm_url": "http://gpu:1"}, "llm_url": {"llm_kind": "openai"}}
    given = {"state_dir": "/s", "cache_dir": "/c", name: example} | others.get(name, {})
    if name == "model_sha256":
        given["model_path"] = "/m.gguf"
    if name == "heartbeat_seconds":
        given["lease_seconds"] = 120
    assert getattr(Settings.model_validate(given), name) is not None


def test_the_page_has_every_key_of_an_engine_with_its_meaning() -> None:
    for name, field in EngineSettings.model_fields.items():
        assert f"| `{name}` |" in page()
        assert field.description
        assert field.description in page()


def test_the_example_of_many_engines_can_be_read(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)[1]
    (tmp_path / "key").write_text("k\n")
    path = tmp_path / "sparky.toml"
    path.write_text(example.replace("/run/secrets/gpu1", "key"))
    assert [one.tier for one in load({"HOME": "/home/somebody"}, path).engines] == [0, 1]


def test_the_example_of_a_settings_file_can_be_read(tmp_path: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", page(), re.DOTALL)
    assert example is not None
    (tmp_path / "url").write_text("postgresql://db/sparky\n")
    path = tmp_path / "sparky.toml"
    path.write_text(example[1].replace("/run/secrets/database_url", "url"))
    assert load({"HOME": "/home/somebody"}, path).llm_kind == "openai"


def test_the_settings_in_force_are_shown_without_secrets(
    sparky: Sparky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKY_DATABASE_URL", f"postgresql://u:{SECRET}@db/sparky")
    monkeypatch.setenv("SPARKY_ATTEMPTS", "7")
    table = sparky("config", "show").out
    document = sparky("config", "show", "--json").out
    assert SECRET not in table + document
    assert "attempts\t7\n" in table
    values = json.loads(document)
    assert list(values) == list(Settings.model_fields)
    assert (values["database_url"], values["broker_url"]) == ("(set)", None)
