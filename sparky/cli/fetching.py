"""What `sparky models fetch` does, here and on the nodes of a Swarm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sparky.cli import output
from sparky.errors import UsageError
from sparky.llm import catalogue
from sparky.services import checkpoint
from sparky.services.checkpoint import Piece
from sparky.services.hub import HUB
from sparky.services.progress import Progress
from sparky.settings import load
from sparky.stack import survey
from sparky.stack.docker import Docker
from sparky.stack.plan import Wish, published
from sparky.stack.spark import Extra, facts

FOLDER = "/srv/models"
"""Where the folder of weights is in a container."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How to fetch on every node."""

    form: str
    into: Path
    carried: Path | None
    hub: str
    image: str
    token_secret: str
    patience: float
    host: str


def repository(name: str, form: str) -> tuple[str, list[Extra]]:
    """Where the weights are on the hub, and what the model needs beside them.

    Raises:
        UsageError: the catalogue knows no such model, or no weights of it for a Spark.
    """
    if "/" in name:
        where = name
    else:
        where = published(Wish(model=catalogue.find(name), nodes=1, form=form))[1]
    known = where.rpartition("/")[2]
    return where, [extra for extra in facts().extras if {known, name} & set(extra.models)]


def here(
    where: str,
    extras: Sequence[Extra],
    *,
    into: Path,
    carried: Path | None,
    hub: str,
    waiting: output.Waiting,
) -> None:
    """Fill the folders on this machine."""

    def report(progress: Progress) -> None:
        waiting(f"{progress.step}: {progress.done / 1e9:,.1f} of {progress.total / 1e9:,.1f} GB")

    name = where.rpartition("/")[2]
    folders = sorted({extra.folder for extra in extras})
    if carried:
        for folder in (name, *folders):
            checkpoint.carry(carried / folder, into / folder, report)
        return
    secret = load().hub_token
    token = secret.get_secret_value() if secret else ""
    waiting(f"asking for the files of {where}")
    pieces = checkpoint.on_hub(where, base=(hub or HUB).rstrip("/"), token=token)
    checkpoint.fetch(pieces, into / name, report, token=token)
    for folder in folders:
        needed = [
            Piece(path=one.name, size=one.size, url=one.url, sha256=one.sha256)
            for one in extras
            if one.folder == folder
        ]
        checkpoint.fetch(needed, into / folder, report)


def on_nodes(name: str, job: Job, waiting: output.Waiting) -> int:
    """Fill the folders on every engine's node. Returns 1 if one of them failed, else 0."""
    if not job.image:
        raise UsageError("--nodes needs Sparky's image", remedy="Give --image sparky:VERSION")
    docker = Docker(job.host)
    options = ["--user", "0", "--hostname", "{{.Node.Hostname}}"]
    options += ["--mount", f"type=bind,source={job.into},target={FOLDER}"]
    command = ["sparky", "models", "fetch", name, "--into", FOLDER]
    if job.form:
        command += ["--format", job.form]
    if job.hub:
        command += ["--hub", job.hub]
    if job.carried:
        options += ["--mount", f"type=bind,source={job.carried},target=/carried,readonly"]
        command += ["--from", "/carried"]
    if job.token_secret:
        options += ["--secret", job.token_secret]
        options += ["--env", f"SPARKY_HUB_TOKEN_FILE=/run/secrets/{job.token_secret}"]
    waiting("fetching on each node; `docker service logs` shows how far")
    named = f"sparky-fetch-{uuid4().hex[:8]}"
    tasks = survey.run(
        docker,
        name=named,
        image=job.image,
        options=options,
        command=command,
        patience=job.patience,
    )
    errors = survey.errors(tasks)
    for node, why in errors.items():
        output.problem(f"{node}: {why}")
    return 1 if errors else 0
