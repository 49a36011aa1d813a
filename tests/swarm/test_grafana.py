"""What Grafana reads at its start, as it is not there to be started: stack.yml, sources, dashboards."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.swarm.test_prometheus import BOARDS, ROOT

FILES = ROOT / "swarm/grafana"
PANELS = {"stat", "timeseries"}
"""Kinds that every Grafana has."""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "stack.yml").read_text()))


@pytest.fixture(scope="module")
def service(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["services"]["grafana"])


@pytest.fixture(scope="module")
def mounted(document: dict[str, Any], service: dict[str, Any]) -> dict[str, str]:
    """The file of this repository at each place in its container."""
    return {one["target"]: document["configs"][one["source"]]["file"] for one in service["configs"]}


def test_the_source_is_the_stacks_own_prometheus(
    document: dict[str, Any], mounted: dict[str, str]
) -> None:
    """Its file lies where sources are looked for, and names a service that listens there."""
    assert (
        mounted["/etc/grafana/provisioning/datasources/sparky.yml"]
        == "./swarm/grafana/datasource.yml"
    )
    told = yaml.safe_load((FILES / "datasource.yml").read_text())
    assert told["apiVersion"] == 1
    (source,) = told["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert {"name", "uid", "type", "access", "url", "isDefault", "editable"} == source.keys()
    shared = set(document["services"]["prometheus"]["networks"])
    assert shared & set(document["services"]["grafana"]["networks"]) == {"monitor"}


def test_every_dashboard_lies_where_the_provider_looks(mounted: dict[str, str]) -> None:
    """One that stack.yml forgets is not seen by anybody."""
    assert (
        mounted["/etc/grafana/provisioning/dashboards/sparky.yml"] == "./swarm/grafana/provider.yml"
    )
    told = yaml.safe_load((FILES / "provider.yml").read_text())
    assert told["apiVersion"] == 1
    (provider,) = told["providers"]
    assert provider["type"] == "file"
    folder = provider["options"]["path"]
    here = {place: file for place, file in mounted.items() if place.startswith(f"{folder}/")}
    assert here == {
        f"{folder}/{board.name}": f"./swarm/grafana/dashboards/{board.name}" for board in BOARDS
    }


def test_nobody_sees_anything_without_the_password(
    document: dict[str, Any], service: dict[str, Any]
) -> None:
    """It comes from the secret's file and is in no variable; visitors and sign-ups are off."""
    variables = service["environment"]
    assert variables["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert variables["GF_USERS_ALLOW_SIGN_UP"] == "false"
    assert variables["GF_METRICS_ENABLED"] == "false"
    # Compose reads two dollars as one; Grafana then reads the file.
    assert variables["GF_SECURITY_ADMIN_PASSWORD"] == "$$__file{/run/secrets/grafana_password}"
    assert service["secrets"] == ["grafana_password"]
    assert "word | put grafana-password" in (ROOT / "swarm/secrets").read_text()
    assert document["secrets"]["grafana_password"]["name"].startswith("sparky-grafana-password-")


def test_it_begins_with_the_night(service: dict[str, Any], mounted: dict[str, str]) -> None:
    """Whoever is woken up sees first whether the run will end."""
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert mounted[home].endswith("/night.json")


def test_dashboards_are_apart() -> None:
    """Two with one id would hide each other."""
    read = [json.loads(board.read_text()) for board in BOARDS]
    for key in ("uid", "title"):
        assert len({board[key] for board in read}) == len(read)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_a_dashboard_is_one_that_grafana_draws(board: Path) -> None:
    """Panels of known kinds, each with an id, a place of its own and queries to the stack's source."""
    read = json.loads(board.read_text())
    assert read["schemaVersion"] >= 39
    assert not read["editable"]
    panels = read["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in PANELS, panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert all(source == {"type": "prometheus", "uid": "prometheus"} for source in sources)
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24, panel["title"]
    for one, two in combinations(panels, 2):
        assert not overlap(one["gridPos"], two["gridPos"]), (one["title"], two["title"])


def overlap(one: dict[str, int], two: dict[str, int]) -> bool:
    """Whether two panels cover each other."""
    return all(
        one[start] < two[start] + two[size] and two[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )
