"""Traces for who wants them, by OpenTelemetry: each run is a trace, each attempt at a step a span of it,
and each question to an engine a span of that.

What belongs together is told by the run's id alone. A message carries nothing of it, so one that is lost,
doubled or sent anew changes no trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import blake2b
from typing import Any, Protocol

from sparky.errors import SparkyError, UsageError
from sparky.ports import Answer, Backend, Claim, Engine, Prompt


class Told(Protocol):
    """Says how the attempt ended: done, wait, retry, anew, stop or void, and with which error."""

    def __call__(self, outcome: str, error: str | None = None) -> None: ...


class Traces(Protocol):
    """Where attempts at steps are told of."""

    def step(self, claim: Claim) -> AbstractContextManager[Told]:
        """Around one attempt."""

    def watched(self, backend: Backend) -> Backend:
        """The same engine, whose questions are told of as parts of the attempt that this thread is at."""


def of(url: str | None, farm: str) -> Traces:
    """Spans that go to the collector at this address; nothing where there is none.

    Raises:
        UsageError: they are wanted, and OpenTelemetry is not installed.
    """
    return Untold() if url is None else Spans(url, farm)


class Untold:
    """Tells nobody."""

    @contextmanager
    def step(self, claim: Claim) -> Iterator[Told]:
        del claim
        yield lambda outcome, error=None: None

    def watched(self, backend: Backend) -> Backend:
        return backend


class Spans:
    """Sent by a thread of its own every few seconds; a collector that is away costs no step anything.

    Args:
        url: a collector that speaks OTLP over HTTP, without the path.
        farm: names the spans' service, after `sparky`.
    """

    def __init__(self, url: str, farm: str) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise UsageError(
                "SPARKY_TRACES_URL is set, and OpenTelemetry is not installed",
                remedy="pip install 'sparky[traces]', or leave the setting out",
            ) from error
        resource = Resource.create({"service.name": f"sparky-{farm}"})
        self._trace = trace
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{url}/v1/traces"))
        )
        self._tracer = self._provider.get_tracer("sparky")

    @contextmanager
    def step(self, claim: Claim) -> Iterator[Told]:
        trace = self._trace
        run = blake2b(claim.run_id.encode(), digest_size=24).digest()
        # The run itself: it has no span, as no process is there from its beginning to its end.
        above = trace.SpanContext(
            int.from_bytes(run[:16]), int.from_bytes(run[16:]), is_remote=True,
            trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
        )  # fmt: skip
        with self._tracer.start_as_current_span(
            claim.stage,
            context=trace.set_span_in_context(trace.NonRecordingSpan(above)),
            kind=trace.SpanKind.CONSUMER,
            attributes={
                "sparky.run": claim.run_id,
                "sparky.repository": claim.repo.name,
                "sparky.step": claim.step_id,
                "sparky.attempt": claim.attempt,
            },
        ) as span:

            def told(outcome: str, error: str | None = None) -> None:
                span.set_attribute("sparky.outcome", outcome)
                if error is not None:
                    span.set_status(trace.StatusCode.ERROR, error)

            yield told

    def watched(self, backend: Backend) -> Backend:
        return _Watched(backend, self._trace, self._tracer)

    def flush(self) -> None:
        """Send what there is now."""
        self._provider.force_flush()


class _Watched:
    """An engine, each question to which is a span, named and told as OpenTelemetry's conventions for
    generative models have it."""

    def __init__(self, backend: Backend, trace: Any, tracer: Any) -> None:
        self._backend = backend
        self._trace = trace
        self._tracer = tracer
        # A roll-up asks by threads of its own, which know of no span.
        self._above = trace.set_span_in_context(trace.get_current_span())

    def complete(self, prompt: Prompt) -> Answer:
        model = self._backend.engine().model
        with self._tracer.start_as_current_span(
            f"chat {model}",
            context=self._above,
            kind=self._trace.SpanKind.CLIENT,
            attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": model},
            record_exception=False,
        ) as span:
            try:
                answer = self._backend.complete(prompt)
            except SparkyError as error:
                span.set_attribute("error.type", type(error).__name__)
                raise
            span.set_attributes(
                {
                    "gen_ai.response.model": answer.model,
                    "gen_ai.usage.input_tokens": answer.prompt_tokens,
                    "gen_ai.usage.output_tokens": answer.completion_tokens,
                    "server.address": answer.server,
                }
            )
            return answer

    def engine(self) -> Engine:
        return self._backend.engine()

    def count(self, text: str) -> int:
        return self._backend.count(text)

    def count_all(self, texts: Sequence[str]) -> list[int]:
        return self._backend.count_all(texts)

    def forget(self) -> None:
        self._backend.forget()

    def close(self) -> None:
        self._backend.close()
