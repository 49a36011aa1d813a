"""What an engine's refusal means: one table from status and wording to Sparky's errors.

    wording of a context that is too small    ContextExceeded    (whatever the status)
    wording of a schema it cannot enforce     SchemaRefused      (ask again without it)
    401, 403                                  EngineError        wrong key
    404                                       EngineError        wrong model or address
    413                                       ContextExceeded
    429, 503 with Retry-After                 Throttled(until)
    429, 503 without it                       Overloaded         (a Transient)
    408, 425, other 5xx                       Transient
    3xx                                       EngineError        redirects are not followed
    other                                     EngineError        the request was refused

`tests/unit/llm/test_faults.py` holds a recorded answer for each line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from sparky.errors import ContextExceeded, EngineError, SparkyError, Throttled, Transient

LONGEST_WAIT = timedelta(hours=1)
"""No engine gets more than this when it asks us to wait."""
_SHOWN = 300
"""Characters of an engine's own words that an error repeats."""

_CONTEXT = re.compile(
    r"should not exceed max_(num_tokens|seq_len|input_len)"  # TensorRT-LLM
    r"|default_max_tokens`?\s*\(.*?must be greater than 0"  # TensorRT-LLM
    r"|maximum context length"  # vLLM, and OpenAI's own wording
    r"|longer than the maximum model length"  # vLLM
    r"|exceeds? the available context size|exceed_context_size"  # llama.cpp, newer Ollama
    r"|longer than the context length|exceeds? (the|maximum) context (length|window)"  # Ollama
    r"|context_length_exceeded|context length exceeded",
    re.IGNORECASE | re.DOTALL,
)
_SCHEMA = re.compile(
    r"guided.?decod|response_format|structured.?output|json.?schema|invalid (json )?format"
    r"|failed to (parse|load model vocabulary required for) (grammar|format)"
    r"|(generate parser|parse grammar)|\bgrammar\b",
    re.IGNORECASE,
)


class SchemaRefused(EngineError):
    """The engine cannot hold an answer to this schema; it may answer without one."""


class Overloaded(Transient):
    """The engine has no room for this request now; fewer at once would do."""


def fault(
    status: int, body: str, headers: Mapping[str, str], *, server: str, now: datetime
) -> SparkyError:
    """The error that a refusal stands for.

    Args:
        status: the HTTP status, or the code inside an error that came in mid-stream.
        body: what the server wrote, without secrets.
        headers: with lower-case names.
        server: what to call it in the message.
        now: zone-aware; `Retry-After` counts from here.
    """
    words = said(body)
    quoted = f"{server} says: {words}" if words else f"{server} answered with status {status}"
    if status == 413 or (status >= 400 and _CONTEXT.search(body)):
        return ContextExceeded(
            f"the prompt is longer than the engine's context; {quoted}",
            remedy="Lower the chunk's budget, or serve the model with a longer context",
        )
    if status in (401, 403):
        return EngineError(
            f"the engine refuses the key (status {status}); {quoted}",
            remedy="Set SPARKY_LLM_API_KEY to the key that the server was started with",
        )
    if status >= 400 and status not in (404, 429, 503) and _SCHEMA.search(words):
        return SchemaRefused(f"the engine cannot enforce the schema; {quoted}")
    if status in (429, 503) and (until := _until(headers.get("retry-after", ""), now)):
        return Throttled(f"the engine asks us to wait; {quoted}", until=until)
    if status in (429, 503):
        return Overloaded(f"the engine is overloaded or unwell (status {status}); {quoted}")
    if status in (408, 425) or status >= 500:
        return Transient(f"the engine is overloaded or unwell (status {status}); {quoted}")
    if 300 <= status < 400:
        return EngineError(
            f"{server} redirects elsewhere, and redirects are not followed",
            remedy="Set SPARKY_LLM_URL to the address that it redirects to",
        )
    if status == 404:
        return EngineError(
            f"the engine knows neither such a model nor such an address; {quoted}",
            remedy="Check SPARKY_LLM_MODEL, SPARKY_LLM_KIND and SPARKY_LLM_URL",
        )
    return EngineError(f"the engine refuses the request (status {status}); {quoted}")


def said(body: str) -> str:
    """An engine's own words from any of the shapes that errors come in; one line, shortened."""
    text: object = body
    while True:
        if isinstance(text, dict):
            text = next((text[k] for k in ("error", "message", "detail") if text.get(k)), "")
        elif isinstance(text, str) and text.lstrip().startswith("{"):  # Ollama wraps JSON in JSON
            try:
                text = json.loads(text)
            except ValueError:
                break
        else:
            break
    line = " ".join((text if isinstance(text, str) else json.dumps(text)).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"


def _until(value: str, now: datetime) -> datetime | None:
    """When `Retry-After`, in seconds or as a date, lets us come back; None where it says nothing."""
    value = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", value):
        wait = timedelta(seconds=min(float(value), LONGEST_WAIT.total_seconds()))
    else:
        try:
            date = parsedate_to_datetime(value)
        except ValueError:
            return None
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    return now + min(max(wait, timedelta(0)), LONGEST_WAIT)
