"""`sparky stack`: plan the engines of a Swarm, write their configuration, and examine the nodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sparky.cli import output
from sparky.cli.sizes import in_bytes
from sparky.cli.telling import tell

if TYPE_CHECKING:
    from sparky.stack.plan import Plan

app = typer.Typer(help="A Swarm of DGX Sparks: plan it, examine it.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Option("--model", help="Its name in `sparky models list`.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Sparks that run engines.")]
Form = Annotated[
    str, typer.Option("--format", help="Of the weights; the smallest that is published.")
]
Memory = Annotated[str, typer.Option("--memory", help="Of one node; a Spark has 128GB.")]
Tokens = Annotated[int, typer.Option("--tokens", min=1024, help="Of one prompt and its answer.")]
Shape = Annotated[
    Literal["auto", "replicas", "mpi"],
    typer.Option("--shape", help="A server on each node, or one over all."),
]
Release = Annotated[str, typer.Option("--release", help="The version of TensorRT-LLM.")]
Models = Annotated[Path, typer.Option("--models", help="The folder of weights on every node.")]

MODELS = Path("/srv/models")


@app.command("plan")
def plan(
    model: Name,
    nodes: Nodes = 1,
    form: Form = "",
    memory: Memory = "128GB",
    tokens: Tokens = 8192,
    shape: Shape = "auto",
    release: Release = "",
    as_json: AsJson = False,
) -> None:
    """Reckon what each server is given, and how fast all of them may be."""
    made = _plan(model, nodes, form, memory, tokens, shape, release)
    from sparky.stack import rendering

    if as_json:
        output.as_json(
            {
                "model": made.model.name,
                "checkpoint": made.checkpoint,
                "format": made.format.name,
                "release": made.release,
                "shape": made.shape,
                "nodes": made.nodes,
                "servers": made.servers,
                "tp": made.tp,
                "pp": made.pp,
                "batch": made.batch,
                "in_flight": made.in_flight,
                "kv_tokens": made.kv_tokens,
                "speed": made.speed,
                "sum": made.sum,
                "warnings": made.warnings,
                "flags": rendering.serve_flags(made),
                "config": rendering.engine_yaml(made),
                "environment": rendering.environment(made),
            }
        )
        return
    each = "one server on each" if made.shape == "replicas" else "one server over all"
    rows = [
        ("weights", f"{made.checkpoint}, {made.format.bytes / 1e9:.1f} GB on each node"),
        ("shape", f"{made.shape}: {each} of {made.nodes}, tp {made.tp}, pp {made.pp}"),
        ("at once", f"{made.batch} sequences a server, {made.in_flight} in all"),
        ("cache", f"{made.kv_tokens} tokens in {made.kv}, the common prefix "
                  + ("used again" if made.reuse else "not used again")),
        ("answers", f"held to the schema by {made.guided}" if made.guided else "checked only"),
        ("expected", made.speed),
        *(("memory" if n == 0 else "", line) for n, line in enumerate(made.sum)),
        *(("beware", text) for text in made.warnings),
    ]  # fmt: skip
    output.table(("", ""), rows)
    output.say("`sparky stack render` writes the files.")


@app.command("render")
def render(
    model: Name,
    nodes: Nodes = 1,
    form: Form = "",
    memory: Memory = "128GB",
    tokens: Tokens = 8192,
    shape: Shape = "auto",
    release: Release = "",
    models: Models = MODELS,
    into: Annotated[Path, typer.Option("--into", help="The folder of the files.")] = Path("stack"),
) -> None:
    """Write trtllm.yml and stack.env, which `docker stack deploy` is to find in the environment."""
    from sparky.stack import rendering

    made = _plan(model, nodes, form, memory, tokens, shape, release)
    into.mkdir(parents=True, exist_ok=True)
    config, variables = into / "trtllm.yml", into / "stack.env"
    config.write_text(rendering.engine_yaml(made), "utf-8")
    known = rendering.environment(made, models=str(models)) | {
        "SPARKY_TRTLLM_CONFIG_FILE": str(config.resolve())
    }
    title = f"{made.model.name} on {made.nodes} nodes, written by `sparky stack render`"
    variables.write_text(rendering.exports(known, title), "utf-8")
    for file in (config, variables):
        output.write(str(file))
    for text in made.warnings:
        output.say(f"Beware: {text}.")
    output.say(f"Next: . {variables} && docker stack deploy -c stack.yml sparky")


@app.command("hostfile")
def hostfile(
    into: Annotated[
        Path | None, typer.Option("--into", help="Also write it there, with what to export.")
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Of the engine.")] = 8355,
    host: Annotated[str, typer.Option("--docker", help="Another daemon, as DOCKER_HOST.")] = "",
) -> None:
    """Print where the ranks of a server over several nodes are, head first."""
    from sparky.stack import hostfile as hosts
    from sparky.stack import rendering
    from sparky.stack.docker import Docker

    found = hosts.ranks(Docker(host).nodes())
    text = hosts.text(found)
    output.write(text)
    if into:
        into.mkdir(parents=True, exist_ok=True)
        written, variables = into / "hostfile", into / "hostfile.env"
        written.write_text(text, "ascii")
        known = {
            "SPARKY_TRTLLM_HOSTFILE": rendering.config_name("hostfile", text),
            "SPARKY_TRTLLM_HOSTFILE_FILE": str(written.resolve()),
            "SPARKY_TRTLLM_RANKS": str(len(found)),
            # The ranks are on the nodes' own network, where Swarm knows no names.
            "SPARKY_GATEWAY_TARGET": f"{found[0].address}:{port}",
            "SPARKY_GATEWAY_ENGINES": "1",
        }
        title = "where the ranks are, written by `sparky stack hostfile`"
        variables.write_text(rendering.exports(known, title), "utf-8")
        output.say(f"Next: . {variables}, before the stack is deployed")


@app.command("preflight")
def preflight(
    model: Name,
    nodes: Nodes = 1,
    form: Form = "",
    memory: Memory = "128GB",
    tokens: Tokens = 8192,
    shape: Shape = "auto",
    release: Release = "",
    models: Models = MODELS,
    image: Annotated[
        str, typer.Option("--image", help="Sparky's image, which looks at each node.")
    ] = "",
    engine_image: Annotated[
        str, typer.Option("--engine-image", help="The engine's image, which must start.")
    ] = "",
    stack: Annotated[
        Path, typer.Option("--stack", help="The stack's file, which names the secrets.")
    ] = Path("stack.yml"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Do not read the weights to compare their hashes.")
    ] = False,
    patience: Annotated[float, typer.Option("--patience", help="Seconds for each look.")] = 600.0,
    host: Annotated[str, typer.Option("--docker", help="Another daemon, as DOCKER_HOST.")] = "",
    as_json: AsJson = False,
) -> int:
    """Check managers and nodes before the stack is deployed, and say how to mend what is wrong."""
    from sparky.cli.stackcheck import Check

    made = _plan(model, nodes, form, memory, tokens, shape, release)
    check = Check(
        plan=made,
        memory=in_bytes(memory),
        models=models,
        image=image,
        engine_image=engine_image,
        stack=stack,
        quick=quick,
        patience=patience,
        host=host,
    )
    with output.Waiting() as waiting:
        return tell(check.findings(waiting), waiting, as_json=as_json)


@app.command("node", hidden=True)
def node(
    models: Models = MODELS,
    model: Annotated[str, typer.Option("--model")] = "",
    ports: Annotated[list[int] | None, typer.Option("--port")] = None,
    quick: Annotated[bool, typer.Option("--quick")] = False,
    root: Annotated[Path, typer.Option("--root")] = Path("/host"),
) -> None:
    """Tell in one line of JSON what this node looks like; `preflight` runs it everywhere."""
    import json
    import socket
    import time

    from sparky.stack.node import look

    seen = look(
        name=socket.gethostname(),
        now=time.time(),
        root=root,
        models=models,
        model=model,
        ports=ports or [],
        whole=not quick,
    )
    output.write(json.dumps(seen))


def _plan(
    model: str, nodes: int, form: str, memory: str, tokens: int, shape: str, release: str
) -> Plan:
    from sparky.llm import catalogue
    from sparky.stack.plan import STABLE, Wish
    from sparky.stack.plan import plan as reckon

    return reckon(
        Wish(
            model=catalogue.find(model),
            nodes=nodes,
            form=form,
            memory=in_bytes(memory),
            tokens=tokens,
            shape=None if shape == "auto" else shape,  # type: ignore[arg-type]
            release=release or STABLE,
        )
    )
