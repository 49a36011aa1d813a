"""The process that serves one model: `python -m sparky.services.llama_server FD`.

Options come as JSON on standard input, so that the API key is in no process list. The port, or the
error, goes as JSON to file descriptor FD once /health answers.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from typing import Any

PROMPT_CACHE_MIB = 256


def main() -> None:
    """Serve until killed."""
    report = int(sys.argv[1])
    options = json.load(sys.stdin)
    try:
        server = start(options)
    except ImportError as error:
        _say(report, _import_failure(str(error)))
        sys.exit(1)
    except RuntimeError as error:  # what llama.cpp throws: a broken file, no memory, a port in use
        _say(report, {"error": str(error)})
        sys.exit(1)
    address: str = server.listening_address
    with urllib.request.urlopen(f"{address}/health", timeout=30) as answer:  # noqa: S310
        answer.read()
    _say(report, {"port": int(address.rsplit(":", 1)[1])})
    while True:  # the server's own threads serve
        signal.pause()


def start(options: dict[str, Any]) -> Any:
    """Load the model and start the server, which stops when nothing refers to it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options["model"]
    params.model_alias = {options["alias"]}
    params.api_keys = [options["api_key"]]
    params.port = options["port"]
    params.n_parallel = options["slots"]
    params.n_ctx = options["context"]
    params.cpuparams.n_threads = options["threads"]
    params.cpuparams_batch.n_threads = options["threads"]
    params.cache_ram_mib = PROMPT_CACHE_MIB
    params.endpoint_metrics = True
    params.endpoint_slots = False
    params.ui = False
    return xllamacpp.Server(params)


def _import_failure(said: str) -> dict[str, str]:
    if "libgomp" in said:
        return {
            "error": "the library libgomp.so.1 is missing",
            "remedy": "Run: apt-get install libgomp1",
        }
    return {"error": said, "remedy": "Run: pip install xllamacpp"}


def _say(report: int, message: dict[str, Any]) -> None:
    os.write(report, json.dumps(message).encode())
    os.close(report)


if __name__ == "__main__":
    main()
