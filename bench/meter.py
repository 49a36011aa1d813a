"""What a farm needs while it works: memory, processor time, broker, connections, engines at work."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
import sqlalchemy as sa

from sparky.store.tables import STAGES
from tests.engines.fleet import figures

TICKS = os.sysconf("SC_CLK_TCK")
SECONDS = 1.0
WEIGHED = 10
"""Memory is looked at each tenth time: it takes longer than all the rest."""

CONNECTIONS = sa.text("""
    SELECT count(*) AS all, count(*) FILTER (WHERE state = 'active') AS active,
           count(*) FILTER (WHERE state LIKE 'idle in%') AS waiting
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
""")
TRANSACTIONS = sa.text(
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)
STEPS = sa.text("""
    SELECT stage, state, count(*) FROM steps WHERE farm = :farm GROUP BY stage, state
""")


class Meter:
    """A look each second, from the block's begin to its end.

    Args:
        groups: a name for people → the processes of that name; their descendants count too.
        broker: for redis-py.
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[int]],
        *,
        database: sa.Engine,
        broker: str,
        farm: str,
        engines: Sequence[str],
    ) -> None:
        self._groups = groups
        self._database = database
        self._client = redis.Redis.from_url(broker)
        self._farm = farm
        self._engines = engines
        self._begin = time.monotonic()
        self.looks: list[dict[str, Any]] = []
        self.look()

    def look(self) -> None:
        at = time.monotonic() - self._begin
        told = [figures(url) for url in self._engines]
        with self._database.begin() as connection:
            counted = connection.execute(CONNECTIONS).one()
            transactions = int(connection.execute(TRANSACTIONS).scalar_one())
            steps = connection.execute(STEPS, {"farm": self._farm}).all()
        table = _processes()
        weigh = len(self.looks) % WEIGHED == 0
        mine = {name: _tree(table, pids) for name, pids in self._groups.items()}
        prefix = f"sparky:{self._farm}:"
        self.looks.append(
            {
                "at": round(at, 2),
                "in_flight": sum(one["held"] for one in told),
                "written": sum(one["written"] for one in told),
                "steps": {f"{stage} {state}": count for stage, state, count in steps},
                "memory_mb": {
                    name: round(sum(map(_memory, pids)) / 1e6, 1) for name, pids in mine.items()
                }
                if weigh
                else self.looks[-1]["memory_mb"],
                "cpu_s": {
                    name: round(sum(table[pid][1] for pid in pids), 2)
                    for name, pids in mine.items()
                },
                "busy_s": round(_busy(), 2),
                "connections": counted.all,
                "active": counted.active,
                "in_transaction": counted.waiting,
                "transactions": transactions,
                "broker_mb": round(int(self._client.info("memory")["used_memory"]) / 1e6, 2),
                "messages": sum(int(self._client.llen(f"{prefix}{stage}")) for stage in STAGES)
                + int(self._client.hlen(f"{prefix}unacked")),
            }
        )

    def summary(self) -> dict[str, Any]:
        """The most of everything, and what it came to from the first look to the last."""
        first, last = self.looks[0], self.looks[-1]

        def most(name: str) -> Any:
            return max(look[name] for look in self.looks)

        cpu = {name: round(last["cpu_s"][name] - first["cpu_s"][name], 1) for name in last["cpu_s"]}
        return {
            "memory_mb": {
                name: [
                    look["memory_mb"][name]
                    for look in (self.looks[0], self.looks[len(self.looks) // 2], last)
                ]
                for name in first["memory_mb"]
            },
            "cpu_s": cpu,
            "others_s": round(last["busy_s"] - first["busy_s"] - sum(cpu.values()), 1),
            "connections": most("connections"),
            "active": most("active"),
            "transactions": last["transactions"] - first["transactions"],
            "broker_mb": [first["broker_mb"], most("broker_mb")],
            "messages": most("messages"),
            "in_flight": most("in_flight"),
        }


@contextmanager
def metered(meter: Meter) -> Iterator[Meter]:
    """Look each second while the block runs, and once at its end."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SECONDS):
            meter.look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield meter
    finally:
        done.set()
        watcher.join()
        meter.look()


def _busy() -> float:
    """Processor seconds that all of the machine has spent at work."""
    fields = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / TICKS


def _memory(pid: int) -> int:
    """Bytes of a process, those shared with others divided among them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _processes() -> dict[int, tuple[int, float]]:
    """Every process: its parent, and the processor seconds it has spent."""
    found = {}
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            fields = (place / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        spent = (int(fields[11]) + int(fields[12])) / TICKS
        found[int(place.name)] = (int(fields[1]), spent)
    return found


def _tree(table: Mapping[int, tuple[int, float]], roots: Sequence[int]) -> list[int]:
    """Those of the processes that are there, and all that they started."""
    found = [pid for pid in roots if pid in table]
    for pid in found:
        found += [child for child, (parent, _) in table.items() if parent == pid]
    return found
