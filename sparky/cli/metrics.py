"""`sparky metrics`: the farm's figures, once or for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparky.cli import opening, output
from sparky.errors import UsageError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def metrics(
    serve: Annotated[
        str, typer.Option("--serve", help="Answer Prometheus at ADDRESS:PORT until stopped.")
    ] = "",
) -> None:
    """Print the farm's figures in Prometheus' form, or serve them."""
    from prometheus_client import CollectorRegistry, generate_latest

    from sparky.farm.app import broker_url, key_prefix
    from sparky.farm.metrics import Figures
    from sparky.farm.tally import Tally

    with opening.wired() as parts:
        settings = parts.settings
        tally = Tally(broker_url(settings), key_prefix(settings.farm))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Figures(parts.store, tally, settings.farm))
        if not serve:
            output.write(generate_latest(registry).decode())
            return
        _serve(registry, serve)


def _serve(registry: CollectorRegistry, where: str) -> None:
    from prometheus_client import start_http_server

    address, _, port = where.rpartition(":")
    if not port.isdigit():
        raise UsageError(f"{where} is no address", remedy="Write it as 0.0.0.0:9108")
    server, thread = start_http_server(int(port), address.strip("[]") or "0.0.0.0", registry)  # noqa: S104 — the container's own
    output.say(f"figures at http://{where}/metrics")
    try:
        thread.join()
    finally:
        server.shutdown()
