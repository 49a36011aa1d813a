"""The network between ranks: which interfaces there are, and which of them MPI and NCCL get."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.trtllm.launcher.config import Wrong

NET = Path("/sys/class/net")
RDMA = Path("/sys/class/infiniband")


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface that is up and has an address."""

    name: str
    networks: tuple[str, ...]
    """Its addresses with their prefix lengths."""
    mbits: int
    """0: it does not tell."""
    rdma: tuple[str, ...]
    """The RDMA devices behind it."""

    @property
    def addresses(self) -> list[str]:
        return [str(ipaddress.ip_interface(network).ip) for network in self.networks]

    def __str__(self) -> str:
        speed = f"{self.mbits // 1000} Gbit/s" if self.mbits else "speed not told"
        rdma = f", RDMA {' '.join(self.rdma)}" if self.rdma else ", no RDMA"
        return f"{self.name} ({' '.join(self.networks)}, {speed}{rdma})"


def present(net: Path = NET, rdma: Path = RDMA) -> list[Nic]:
    """All that are up and have an address, but for the loopback."""
    told = subprocess.run(
        ["ip", "-json", "address", "show", "up"], capture_output=True, text=True, check=True
    )
    return read(json.loads(told.stdout), net, rdma)


def read(told: Sequence[dict[str, object]], net: Path, rdma: Path) -> list[Nic]:
    """From what `ip -json address` tells."""
    found = []
    for link in told:
        name, infos = str(link.get("ifname", "")), link.get("addr_info")
        networks = tuple(
            f"{info['local']}/{info['prefixlen']}"
            for info in (infos if isinstance(infos, list) else ())
            if info.get("scope") == "global"
        )
        if networks:
            found.append(Nic(name, networks, _mbits(net / name / "speed"), _rdma(name, rdma)))
    return found


def choose(nics: Sequence[Nic], own: str, wanted: Sequence[str] = ()) -> list[Nic]:
    """Those that ranks talk over: the wanted ones, else the fastest with RDMA, else the rank's own.

    Args:
        own: the address of this rank.
        wanted: names that somebody has set.

    Raises:
        Wrong: a wanted one is not up, or no interface has the rank's address.
    """
    by_name = {nic.name: nic for nic in nics}
    if missing := [name for name in wanted if name not in by_name]:
        raise Wrong(
            f"{missing[0]} is not up or has no address here; up are"
            f" {', '.join(map(str, nics)) or 'none'}"
        )
    if wanted:
        return [by_name[name] for name in wanted]
    fastest = max((nic.mbits for nic in nics if nic.rdma), default=0)
    if fastest:
        return [nic for nic in nics if nic.rdma and nic.mbits == fastest]
    for nic in nics:
        if own in nic.addresses:
            return [nic]
    raise Wrong(f"no interface has the address {own}")


def subnets(nics: Sequence[Nic]) -> str:
    """For Open MPI, which takes networks, as names differ between nodes."""
    found = {
        str(ipaddress.ip_interface(network).network)
        for nic in nics
        for network in nic.networks
        if ipaddress.ip_interface(network).version == 4
    }
    return ",".join(sorted(found))


def environment(nics: Sequence[Nic]) -> dict[str, str]:
    """What NCCL and UCX are told on this node."""
    names = ",".join(nic.name for nic in nics)
    devices = [device for nic in nics for device in nic.rdma]
    told = {"NCCL_SOCKET_IFNAME": names, "UCX_NET_DEVICES": names}
    if devices:
        told["NCCL_IB_HCA"] = ",".join(devices)
        told["UCX_NET_DEVICES"] = ",".join(f"{device}:1" for device in devices)
    return told


def _mbits(file: Path) -> int:
    try:
        return max(0, int(file.read_text("ascii")))
    except (OSError, ValueError):
        return 0


def _rdma(name: str, folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(dev.name for dev in folder.iterdir() if (dev / "device" / "net" / name).exists())
    )
