"""Triton over gRPC: the questions of its HTTP addresses, asked with NVIDIA's own client.

The client is an extra (`pip install sparky[triton]`), imported at the first use.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from sparky.errors import BadAnswer, EngineError, SparkyError, Transient, UsageError
from sparky.llm.deadline import Deadline, Late
from sparky.llm.wire import LARGEST, Reply, Wire

_HTTP = {
    "StatusCode.UNAUTHENTICATED": 401,
    "StatusCode.PERMISSION_DENIED": 403,
    "StatusCode.NOT_FOUND": 404,
    "StatusCode.DEADLINE_EXCEEDED": 408,
    "StatusCode.RESOURCE_EXHAUSTED": 429,
    "StatusCode.UNAVAILABLE": 503,
    "StatusCode.INVALID_ARGUMENT": 400,
    "StatusCode.UNIMPLEMENTED": 400,
}
"""gRPC's codes as the HTTP statuses that mean the same; all others are 500."""
_TYPES = {
    "TYPE_STRING": ("BYTES", "object"),
    "TYPE_BOOL": ("BOOL", "bool"),
    "TYPE_INT32": ("INT32", "int32"),
    "TYPE_INT64": ("INT64", "int64"),
    "TYPE_UINT32": ("UINT32", "uint32"),
    "TYPE_UINT64": ("UINT64", "uint64"),
    "TYPE_FP32": ("FP32", "float32"),
    "TYPE_FP64": ("FP64", "float64"),
}
"""A configuration's types → the request's, and numpy's."""

SCHEMES = ("grpc://", "grpcs://")


class GrpcWire(Wire):
    """The way to one Triton server by gRPC, as a Wire whose addresses are those of HTTP.

    Args:
        url: `grpc://host:port`, or `grpcs://` for TLS with the system's certificates.

    Raises:
        UsageError: the URL or the key cannot be used, or the client is not installed.
    """

    def __init__(self, url: str, **options: Any) -> None:
        scheme, _, rest = url.strip().partition("://")
        super().__init__(f"{scheme.replace('grpc', 'http')}://{rest}", **options)
        self.url = f"{scheme}://{urlsplit(self.url).netloc}"
        try:
            self._grpc, self._numpy = import_module("tritonclient.grpc"), import_module("numpy")
        except ImportError as error:
            raise UsageError(
                f"{self.url} needs Triton's gRPC client, which is not installed ({error})",
                remedy="Run: pip install 'sparky[triton]'; or give Triton's http:// address",
            ) from error
        self._secure = scheme == "grpcs"
        self._metadata = {"authorization": f"Bearer {self._key}"} if self._key else None
        self._asking = self._client()

    def close(self) -> None:
        self._asking.close()
        super().close()

    def _client(self) -> Any:
        """A client; those of one address share a connection."""
        client: Any = self._grpc.InferenceServerClient(urlsplit(self.url).netloc, ssl=self._secure)
        return client

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        probe = self.timeouts.probe
        more = {"headers": self._metadata, "client_timeout": probe}
        with self._translated(Deadline(probe, probe, self.now)):
            match path.split("/")[2:]:
                case ["health", "ready"]:
                    return Reply(200 if self._asking.is_server_ready(**more) else 400, {}, b"")
                case ["repository", "index"]:
                    found = self._asking.get_model_repository_index(as_json=True, **more)
                    ready = [m for m in found.get("models", []) if m.get("state") == "READY"]
                    return _reply(ready)
                case ["models", model, "config"]:
                    return _reply(self._config(model, more))
        return Reply(404, {}, b"")

    def _config(self, model: str, more: Mapping[str, Any]) -> dict[str, Any]:
        found = self._asking.get_model_config(model, as_json=True, **more)
        return dict(found["config"])

    @contextmanager
    def stream(
        self, path: str, body: Mapping[str, Any], deadline: Deadline
    ) -> Iterator[Iterator[Mapping[str, Any]]]:
        model = path.split("/")[3]
        heard: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        client = self._client()
        with self._translated(deadline):
            more = {"headers": self._metadata, "client_timeout": self.timeouts.probe}
            inputs = self._inputs(self._config(model, more), body)

            def hear(result: Any, error: Any) -> None:
                heard.put((result, error))

            client.start_stream(hear, headers=self._metadata)
            try:
                client.async_stream_infer(model, inputs, enable_empty_final_response=True)
                yield self._parts(heard, deadline)
            finally:
                # Also ends what is still being written.
                with suppress(self._grpc.InferenceServerException):
                    client.stop_stream(cancel_requests=True)

    def _parts(
        self, heard: queue.SimpleQueue[tuple[Any, Any]], deadline: Deadline
    ) -> Iterator[Mapping[str, Any]]:
        size = 0
        while True:
            try:
                result, error = heard.get(timeout=deadline.left())
            except queue.Empty:
                raise Late from None
            if error is not None:
                raise error
            response = result.get_response()
            size += response.ByteSize()
            if size > LARGEST:
                raise BadAnswer(f"the engine's answer is longer than {LARGEST >> 20} MiB")
            if response.outputs:
                deadline.heard(self.timeouts.idle)
                yield {one.name: self._value(result, one.name) for one in response.outputs}
            if response.parameters["triton_final_response"].bool_param:
                return

    def _value(self, result: Any, name: str) -> str | int | float:
        value = result.as_numpy(name).flatten()[0]
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        plain: int | float = value.item()
        return plain

    def _inputs(self, config: Mapping[str, Any], body: Mapping[str, Any]) -> list[Any]:
        shape = [1, 1] if int(config.get("max_batch_size") or 0) else [1]
        kinds = {one["name"]: one["data_type"] for one in config.get("input") or ()}
        made = []
        for name, value in body.items():
            wire, numpy = _TYPES[kinds[name]]
            tensor = self._grpc.InferInput(name, shape, wire)
            given = value.encode("utf-8", "replace") if isinstance(value, str) else value
            tensor.set_data_from_numpy(self._numpy.full(shape, given, dtype=numpy))
            made.append(tensor)
        return made

    @contextmanager
    def _translated(self, deadline: Deadline) -> Iterator[None]:
        """Errors of the client as Sparky's."""
        try:
            yield
        except Late as error:
            raise Transient(f"the engine at {self.url} {deadline.explain()}") from error
        except self._grpc.InferenceServerException as error:
            raise self._meant(str(error.status() or ""), error.message() or "") from error

    def _meant(self, code: str, said: str) -> SparkyError:
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return EngineError(
                f"no trusted TLS connection to the engine at {self.url}",
                remedy="Trust its certificate (GRPC_DEFAULT_SSL_ROOTS_FILE_PATH), or correct"
                " SPARKY_LLM_URL",
            )
        if code == "StatusCode.UNAVAILABLE" and "connect" in said.lower():
            return Transient(
                f"the engine at {self.url} cannot be reached ({said[:200]})",
                remedy="Check that it runs and that SPARKY_LLM_URL is right",
            )
        if code in ("StatusCode.UNAVAILABLE", "StatusCode.CANCELLED") and _broken(said):
            return Transient(f"the engine at {self.url} broke the connection off ({said[:200]})")
        return self._fault(_HTTP.get(code, 500), {}, said.encode())


def _broken(said: str) -> bool:
    return any(word in said.lower() for word in ("socket closed", "reset", "goaway", "cancelled"))


def _reply(value: Any) -> Reply:
    return Reply(200, {}, json.dumps(value).encode())
