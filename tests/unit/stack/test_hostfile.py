"""The hostfile: the head first, each rank where the Swarm says it is."""

from typing import Any

import pytest

from sparky.errors import UsageError
from sparky.stack.hostfile import HEAD, LABEL, ranks, text
from sparky.stack.rendering import config_name


def node(name: str, address: str = "", *, labels: dict[str, str], **more: Any) -> dict[str, Any]:
    """As `docker node inspect` tells it."""
    return {
        "Spec": {"Labels": labels},
        "Description": {"Hostname": name},
        "Status": {"State": "ready", "Addr": address},
        **more,
    }


ENGINE = {LABEL: "true"}
FIRST = {LABEL: "true", HEAD: "true"}


def test_the_head_comes_first_and_nodes_without_an_engine_not_at_all() -> None:
    nodes = [
        node("b", "10.0.0.2", labels=ENGINE),
        node("other", "10.0.0.9", labels={}),
        node("c", "10.0.0.3", labels=FIRST),
        node("a", "10.0.0.1", labels=ENGINE),
    ]
    assert text(ranks(nodes)) == "10.0.0.3 slots=1\n10.0.0.1 slots=1\n10.0.0.2 slots=1\n"


@pytest.mark.parametrize(("told", "address"), [("0.0.0.0", "10.0.0.7"), ("", "fd00::7")])
def test_a_manager_is_found_at_the_address_that_it_advertises(told: str, address: str) -> None:
    shown = f"[{address}]:2377" if ":" in address else f"{address}:2377"
    nodes = [node("m", told, labels=FIRST, ManagerStatus={"Addr": shown})]
    assert text(ranks(nodes)) == f"{address} slots=1\n"


@pytest.mark.parametrize("heads", [0, 2])
def test_anything_but_one_head_is_refused_with_the_command_that_mends_it(heads: int) -> None:
    nodes = [node(f"n{i}", f"10.0.0.{i}", labels=FIRST if i < heads else ENGINE) for i in range(3)]
    with pytest.raises(UsageError, match=f"{heads} of 3") as told:
        ranks(nodes)
    assert "docker node update" in told.value.remedy


def test_a_node_that_is_down_is_named() -> None:
    gone = node("far", "10.0.0.1", labels=FIRST)
    gone["Status"]["State"] = "down"
    with pytest.raises(UsageError, match="node far is down"):
        ranks([gone])


def test_a_node_without_an_address_is_named() -> None:
    with pytest.raises(UsageError, match="no address of node far"):
        ranks([node("far", "0.0.0.0", labels=FIRST)])


def test_another_content_has_another_name() -> None:
    assert config_name("hostfile", "a slots=1\n") != config_name("hostfile", "b slots=1\n")
