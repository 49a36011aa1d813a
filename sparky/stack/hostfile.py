"""The hostfile of the MPI shape: where its ranks are, head first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from sparky.errors import UsageError

LABEL = "sparky.engine"
"""A node that carries this label with the value `true` runs an engine, or a rank of one."""
HEAD = "sparky.head"
"""The one of them that carries this one with `true` holds the first rank, which answers requests."""


@dataclass(frozen=True, slots=True)
class Host:
    """A node that holds a rank."""

    name: str
    address: str
    head: bool = False


def ranks(nodes: Sequence[Mapping[str, Any]]) -> list[Host]:
    """The nodes that hold ranks, head first, then by name.

    Args:
        nodes: as `docker node inspect` tells them.

    Raises:
        UsageError: there is not just one head, or a node is not ready or has no address.
    """
    hosts = []
    for node in nodes:
        labels = node["Spec"].get("Labels") or {}
        if labels.get(LABEL) != "true":
            continue
        name, status = node["Description"]["Hostname"], node["Status"]
        if status["State"] != "ready":
            raise UsageError(
                f"node {name} is {status['State']}",
                remedy=f"Start it, or take its label {LABEL} off",
            )
        hosts.append(Host(name, _address(name, node), labels.get(HEAD) == "true"))
    heads = [host.name for host in hosts if host.head]
    if len(heads) != 1:
        raise UsageError(
            f"{len(heads)} of {len(hosts)} nodes with the label {LABEL} carry {HEAD}, and it must be"
            " one",
            remedy=f"docker node update --label-add {LABEL}=true --label-add {HEAD}=true NODE",
        )
    return sorted(hosts, key=lambda host: (not host.head, host.name))


def text(hosts: Sequence[Host]) -> str:
    """The hostfile as Open MPI reads it: a rank a node."""
    return "".join(f"{host.address} slots=1\n" for host in hosts)


def _address(name: str, node: Mapping[str, Any]) -> str:
    # A manager's Status.Addr may be 0.0.0.0; its ManagerStatus has the address that it advertises.
    told = node["Status"].get("Addr", "")
    if told in ("", "0.0.0.0", "::"):  # noqa: S104
        told = node.get("ManagerStatus", {}).get("Addr", "").rpartition(":")[0].strip("[]")
    try:
        return str(ip_address(told))
    except ValueError:
        raise UsageError(
            f"docker knows no address of node {name}",
            remedy="Let it join again with --advertise-addr",
        ) from None
