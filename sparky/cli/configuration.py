"""`sparky config`: what is set, and the page that tells what can be set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparky.cli import output

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from sparky.settings import Settings

app = typer.Typer(help="The settings.", no_args_is_help=True)

HEADINGS = {
    "state_dir": "Where things are",
    "database_url": "The database",
    "broker_url": "The farm",
    "llm_kind": "The engine",
    "git_timeout_seconds": "Git",
    "publish_dir": "Publishing",
    "log_level": "Logs",
}
"""The first setting under each heading of the page."""

INTRODUCTION = """\
# Configuration

Sparky needs no configuration: what is not configured, it starts itself. This page is made from
the settings in the code by `sparky config docs`; `sparky config show` prints those in force.

A setting comes from the first of these places that has it:

1. the environment, as `SPARKY_` and its name in capitals; an empty value counts as not set;
2. the settings file, in TOML: the file that `SPARKY_CONFIG` names, else
   `$XDG_CONFIG_HOME/sparky/sparky.toml` (`~/.config/sparky/sparky.toml` where that is not set);
   paths in it count from its folder. The folder where Sparky is started is not looked at: it may
   be somebody else's checkout;
3. the default.

In the file, the part of a name before a `_` may also be a table: `llm_url = "…"` and `url = "…"`
under `[llm]` are the same.

```toml
database_url_file = "/run/secrets/database_url"

[llm]
kind = "openai"
url = "http://gpu.example:8000/v1"
model = "Qwen/Qwen2.5-Coder-7B-Instruct"
```

**Secrets** are marked so below. Each can also be given as a file that holds it, under its name with
`_FILE` (`SPARKY_LLM_API_KEY_FILE`, `llm_api_key_file`); a newline at the file's end is left out.
Giving both forms in one place is an error. Secrets are never shown or logged.

**Many engines** are listed in place of `[llm]`, each in a table of its own; docs/engines.md tells
how they share the work.

```toml
[[engines]]
url = "http://gpu1.example:8000"
model = "Qwen/Qwen3-8B"
api_key_file = "/run/secrets/gpu1"

[[engines]]
url = "http://gpu2.example:8000"
model = "openai/gpt-oss-120b"
tier = 1
```

A name that Sparky does not know is an error that suggests the nearest one.
Names that begin with `SPARKY_TEST_` belong to the tests.
"""


@app.command()
def show(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the settings in force; of secrets only whether they are set."""
    from sparky.settings import load

    settings = load()
    if as_json:
        output.as_json(in_force(settings))
    else:
        rows = [(name, _words(value)) for name, value in in_force(settings).items()]
        output.table(("setting", "value"), rows)


@app.command()
def docs() -> None:
    """Print docs/configuration.md."""
    output.write(page())


def in_force(settings: Settings) -> dict[str, Any]:
    """Each setting's value as JSON knows it; a secret that is set is `"(set)"`."""
    from sparky.settings import SECRETS

    values = settings.model_dump(mode="json")
    return {
        name: "(set)" if name in SECRETS and value is not None else value
        for name, value in values.items()
    }


def page() -> str:
    """docs/configuration.md, made from the settings' fields."""
    from sparky.settings import Settings

    lines = [INTRODUCTION]
    for name, field in Settings.model_fields.items():
        if name in HEADINGS:
            lines += _engine_keys() if name == "git_timeout_seconds" else ()
            lines += [
                f"\n## {HEADINGS[name]}\n",
                "| Environment | `sparky.toml` | Default | Example | Meaning |",
                "|---|---|---|---|---|",
            ]
        lines.append("| " + " | ".join(_row(name, field)) + " |")
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _engine_keys() -> Iterator[str]:
    """The table of what `[[engines]]` can hold."""
    from sparky.settings import EngineSettings

    yield "\n### Keys of an engine\n"
    yield "| `[[engines]]` | Default | Example | Meaning |"
    yield "|---|---|---|---|"
    for name, field in EngineSettings.model_fields.items():
        default = "needed" if field.is_required() else _words(field.default)
        shown = default if default in ("needed", "not set") else f"`{default}`"
        yield f"| `{name}` | {shown} | `{(field.examples or [''])[0]}` | {field.description} |"


def _row(name: str, field: FieldInfo) -> Iterator[str]:
    from sparky.settings import SECRETS

    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    default = extra.get("shown") or _words(field.default)
    yield f"`SPARKY_{name.upper()}`"
    yield "none" if extra.get("only") == "environment" else f"`{name}`"
    yield f"`{default}`" if default != "not set" else default
    yield f"`{(field.examples or [''])[0]}`"
    secret = "**Secret.** " if name in SECRETS else ""
    yield secret + (field.description or "")


def _words(value: object) -> str:
    return "not set" if value is None else str(value)
