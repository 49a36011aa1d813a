"""A job on each node: what its tasks have said is told by node, also where one cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from sparky.errors import ServiceError
from sparky.stack import survey
from sparky.stack.docker import Docker


def row(node: str, state: str, error: str = "") -> str:
    """As `docker service ps` tells it."""
    task = {"ID": f"task-{node}", "Node": node, "CurrentState": state, "Error": error}
    return json.dumps(task)


@dataclass(frozen=True, slots=True)
class Played(Docker):
    """A docker whose jobs end as they are told to."""

    rows: Sequence[str] = ()
    said: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(self, *arguments: str, stdin: str = "", seconds: float = 60.0) -> str:
        self.asked.append(arguments)
        return "\n".join(self.rows) if arguments[1] == "ps" else ""

    def logs(self, task: str) -> str:
        if task not in self.said:
            raise ServiceError("`docker service logs` failed: node is not available")
        return self.said[task]


def test_each_node_tells_what_it_has_seen_and_a_failed_one_why() -> None:
    """One node that cannot be asked hides nothing of the others."""
    docker = Played(
        rows=[
            row("spark1", "Complete 2 seconds ago"),
            # Swarm has begun it again already.
            row("spark2", "Starting less than a second ago"),
            row("spark2", "Failed 1 second ago", '"task: non-zero exit (1)"'),
            row("spark3", "Complete 2 seconds ago"),
            row("spark4", "Rejected 1 second ago", '"No such image: sparky:1"'),
        ],
        said={
            "task-spark1": '{"node": "spark1"}\n',
            "task-spark2": "error: /daemon.json cannot be read\nhint: Mend it\n",
            "task-spark4": "",
        },
    )
    told, errors = survey.nodes(docker, image="sparky:1", arguments=[], patience=1.0, name="look")
    assert told == [{"node": "spark1"}]
    assert errors == {
        "spark2": "error: /daemon.json cannot be read hint: Mend it",
        "spark3": "`docker service logs` failed: node is not available",
        "spark4": "No such image: sparky:1",
    }
    assert docker.asked[-1] == ("service", "rm", "look")


def test_a_job_that_is_not_over_in_time_is_told_with_its_nodes_and_removed() -> None:
    docker = Played(rows=[row("spark1", "Complete 1 second ago"), row("spark2", "Preparing")])
    with pytest.raises(ServiceError, match="spark1 is complete, spark2 is preparing"):
        survey.starts(docker, image="engine:1", patience=0.0, name="start")
    assert docker.asked[-1] == ("service", "rm", "start")


def test_an_image_that_starts_everywhere_leaves_no_errors() -> None:
    """Also where a node's logs cannot be read: nothing is asked of those that did well."""
    docker = Played(rows=[row("spark1", "Complete 1 second ago")])
    assert survey.starts(docker, image="engine:1", patience=1.0, name="start") == {}
    assert not any("spark1" in word for words in docker.asked for word in words)
