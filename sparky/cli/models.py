"""`sparky models`: which models there are, what they need, and what fits."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sparky.cli import output
from sparky.cli.sizes import in_bytes

if TYPE_CHECKING:
    from sparky.llm.catalogue import Model

app = typer.Typer(help="Models, what they need, and what fits.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_models(as_json: AsJson = False) -> None:
    """List the models of the catalogue."""
    from sparky.llm import catalogue

    models = catalogue.load().values()
    if as_json:
        output.as_json([asdict(model) for model in models])
        return
    rows = [
        (
            model.name,
            _size(model),
            ", ".join(f"{form.name} {form.bytes / 1e9:.1f} GB" for form in model.formats),
            f"{model.kv_bytes_per_token()} B",
            str(model.context),
            ", ".join(model.engines),
            model.licence,
        )
        for model in models
    ]
    columns = ("model", "parameters", "weights", "cache a token", "context", "engines", "licence")
    output.table(columns, rows)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="Its name here or on the hub.")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of a model, and where each figure comes from."""
    from sparky.llm import catalogue

    model = catalogue.find(name)
    if as_json:
        output.as_json(asdict(model))
        return
    rows = [
        ("model", model.name),
        ("hub", model.hub),
        ("parameters", _size(model)),
        *((f"weights, {f.name}", f"{f.bytes / 1e9:.2f} GB; {f.origin}") for f in model.formats),
        ("cache a token", f"{model.kv_bytes_per_token()} B in fp16, half of it in fp8"),
        ("layers, heads, context from", model.geometry),
        ("context", f"{model.context} tokens"),
        ("engines", ", ".join(model.engines)),
        ("licence", model.licence),
        *(("known trouble", text) for text in model.bad),
    ]
    if model.window_layers:
        near = f"{model.window_layers} of {model.layers} layers, {model.window} tokens"
        rows.insert(-1, ("look back only", near))
    if model.speed:
        rows.append(("measured by others", model.speed))
    output.table(("", ""), rows)


@app.command("fit")
def fit(
    memory: Annotated[str, typer.Option("--memory", help="Of one node, such as 128GB.")] = "128GB",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="How many there are.")] = 1,
    tokens: Annotated[
        int, typer.Option("--tokens", min=1, help="Of one sequence: prompt and answer.")
    ] = 8192,
    kv: Annotated[
        Literal["fp16", "fp8"], typer.Option("--kv", help="Form of the key-value cache.")
    ] = "fp16",
    model: Annotated[
        str | None, typer.Option("--model", help="This model alone, with the sum.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what fits into a machine, how many sequences, and why."""
    from sparky.llm import catalogue

    chosen = [catalogue.find(model)] if model else list(catalogue.load().values())
    size = in_bytes(memory)
    fits = [
        catalogue.fit(one, form, memory=size, nodes=nodes, tokens=tokens, kv=kv)
        for one in chosen
        for form in one.formats
    ]
    if as_json:
        shown = ("shape", "sequences", "tokens", "nodes", "sum")
        output.as_json(
            [
                {"model": f.model.name, "format": f.format.name, "fits": bool(f.shape)}
                | {name: getattr(f, name) for name in shown}
                for f in fits
            ]
        )
        return
    if model:
        for found in fits:
            output.write(f"{found.model.name}, {found.format.name}: {_verdict(found.shape)}")
            for line in found.sum:
                output.write(f"  {line}")
        return
    rows = [
        (
            f.model.name,
            f.format.name,
            f"{f.format.bytes / 1e9:.1f} GB",
            _verdict(f.shape),
            f"{f.sequences} of {f.tokens} tokens" if f.shape else "",
        )
        for f in fits
    ]
    output.table(("model", "format", "weights", "fits", "sequences at once"), rows)
    output.say("`--model NAME` shows the sum.")


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="Its name here, or a repository on the hub.")],
    form: Annotated[str, typer.Option("--format", help="Of the weights, such as nvfp4.")] = "",
    into: Annotated[
        Path, typer.Option("--into", help="The folder of all weights; each gets one below it.")
    ] = Path("/srv/models"),
    carried: Annotated[
        Path | None,
        typer.Option("--from", help="A folder that was filled elsewhere, in place of the hub."),
    ] = None,
    hub: Annotated[str, typer.Option("--hub", help="The hub's address, or a mirror's.")] = "",
    nodes: Annotated[
        bool, typer.Option("--nodes", help="On every node with the label sparky.engine=true.")
    ] = False,
    image: Annotated[str, typer.Option("--image", help="Sparky's image, for --nodes.")] = "",
    token_secret: Annotated[
        str, typer.Option("--token-secret", help="Swarm secret with the hub's token, for --nodes.")
    ] = "",
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds that --nodes may take.")
    ] = 14400.0,
    host: Annotated[str, typer.Option("--docker", help="Another daemon, as DOCKER_HOST.")] = "",
) -> int:
    """Have a model's weights here, or on every node, complete and checked."""
    from sparky.cli import fetching

    repository, extras = fetching.repository(name, form)
    with output.Waiting() as waiting:
        if nodes:
            return fetching.on_nodes(
                repository if "/" in name else name,
                fetching.Job(
                    form=form,
                    into=into,
                    carried=carried,
                    hub=hub,
                    image=image,
                    token_secret=token_secret,
                    patience=patience,
                    host=host,
                ),
                waiting,
            )
        fetching.here(repository, extras, into=into, carried=carried, hub=hub, waiting=waiting)
    output.write(str(into / repository.rpartition("/")[2]))
    return 0


def _verdict(shape: str) -> str:
    return {
        "replicas": "yes, on each node",
        "parallel": "yes, split over the nodes",
        "": "no",
    }[shape]


def _size(model: Model) -> str:
    whole = f"{model.parameters:g} B"
    return whole if model.active == model.parameters else f"{whole}, {model.active:g} B active"
