"""Where the ranks are, and which of them this container is."""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Collection, Sequence

from swarm.trtllm.launcher.config import Config, Wrong

PAUSE = 2.0
"""Seconds between two looks."""


def parse(text: str) -> list[str]:
    """The addresses of a hostfile, in its order.

    Raises:
        Wrong: a line does not begin with an address, or none is left.
    """
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            found.append(str(ipaddress.ip_address(words[0])))
        except ValueError:
            raise Wrong(f"the hostfile says {words[0]}, which is no address") from None
    if not found:
        raise Wrong("the hostfile is empty; `sparky stack hostfile --create` makes one")
    return found


def resolve(name: str) -> list[str]:
    """All addresses that the name has now, in numerical order, so that every rank agrees."""
    try:
        told = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return []
    return sorted({str(entry[4][0]) for entry in told}, key=ipaddress.ip_address)


def find(config: Config, log: Callable[[str], None]) -> list[str]:
    """The addresses of all ranks, the head's first.

    Raises:
        Wrong: they do not all come before the deadline, or there are more or fewer than planned.
    """
    if config.hostfile.exists():
        found = parse(config.hostfile.read_text("utf-8"))
        if len(found) != config.ranks:
            raise Wrong(
                f"the hostfile names {len(found)} nodes, and {config.ranks} ranks are planned;"
                " `sparky stack hostfile --create` makes a new one"
            )
        return found
    if not config.hosts_name:
        raise Wrong(
            f"there is neither the hostfile {config.hostfile} nor a name to look up;"
            " `sparky stack hostfile --create` makes the one"
        )
    until = time.monotonic() + config.deadline
    while len(found := resolve(config.hosts_name)) < config.ranks:
        if time.monotonic() > until:
            raise Wrong(
                f"{config.hosts_name} has {len(found)} addresses after {config.deadline:.0f} s, and"
                f" {config.ranks} ranks are planned: {', '.join(found) or 'none'}"
            )
        log(f"{config.hosts_name} has {len(found)} of {config.ranks} addresses")
        time.sleep(PAUSE)
    return found[: config.ranks]


def place(hosts: Sequence[str], own: Collection[str]) -> str:
    """Which of the hosts this one is.

    Raises:
        Wrong: it is none of them.
    """
    for host in hosts:
        if host in own:
            return host
    raise Wrong(
        f"this node has the addresses {', '.join(sorted(own))}, none of which is a rank's:"
        f" {', '.join(hosts)}; label the right nodes and make the hostfile anew"
    )
