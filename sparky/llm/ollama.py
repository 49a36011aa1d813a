"""Ollama, by its own API: the OpenAI form of it can neither pin the context nor refuse to cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparky.errors import EngineError
from sparky.llm.answers import Draft
from sparky.llm.backend import DEFAULT_CONTEXT, HttpBackend, messages
from sparky.ports import Engine, Prompt

KEEP_ALIVE = "30m"
"""How long the model stays loaded after an answer."""


class OllamaBackend(HttpBackend):
    """An Ollama server as a `Backend`.

    Its context is pinned to `context`, or to DEFAULT_CONTEXT: Ollama's own default depends on the
    machine's memory, and each change of it loads the model anew. A model may reason only where
    `reasoning_tokens` gives it room. Ollama counts no tokens without answering, so counts are
    estimates.
    """

    SCHEMA = frozenset({"format"})

    def _probe(self) -> Engine:
        if not self._wire.get("/api/version").get("version"):
            raise EngineError(
                f"the server at {self._wire.url} is not Ollama",
                remedy="Check SPARKY_LLM_URL and SPARKY_LLM_KIND (openai, ollama or triton)",
            )
        models = self._wire.get("/api/tags").get("models") or ()
        pulled = [str(model.get("name")) for model in models if isinstance(model, dict)]
        model = self._choose(pulled, (f"{self._wanted}:latest",))
        shown = self._wire.expect(self._wire.ask("POST", "/api/show", {"model": model}))
        longest = _context(shown.get("model_info") or {})
        wanted = self._context or DEFAULT_CONTEXT
        context = min(wanted, longest or wanted)
        return Engine("ollama", model, context - self._reasoning, self._slots or 1)

    def memory(self) -> str:
        loaded = self._wire.get("/api/ps").get("models")
        models = loaded if isinstance(loaded, list) else []
        told = [model.get("size_vram") for model in models if isinstance(model, dict)]
        sizes = [size for size in told if isinstance(size, int)]
        return f"{sum(sizes) / 1e9:.1f} GB on the GPU" if sizes else ""

    def _path(self, engine: Engine) -> str:
        return "/api/chat"

    def _body(self, prompt: Prompt, engine: Engine, limit: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": engine.model,
            "messages": messages(prompt),
            "stream": True,
            "keep_alive": KEEP_ALIVE,
            # Too long a prompt is to fail: by default the oldest text is dropped without a word.
            "truncate": False,
            "shift": False,
            "options": {
                "num_ctx": engine.context + self._reasoning,
                "num_predict": limit,
                "temperature": prompt.temperature,
                "seed": prompt.seed,
            },
        }
        if not self._reasoning:
            body["think"] = False  # left out, a model that can reason does; `true` may be refused
        if prompt.schema is not None:
            body["format"] = dict(prompt.schema)
        return body

    def _add(self, draft: Draft, part: Mapping[str, Any]) -> None:
        draft.model = part.get("model") or draft.model
        said = part.get("message") or {}
        draft.text += said.get("content") or ""
        draft.reasoned |= bool(said.get("thinking"))
        if part.get("done"):
            draft.finish = part.get("done_reason") or "stop"
            draft.prompt_tokens = part.get("prompt_eval_count") or 0
            draft.completion_tokens = part.get("eval_count") or 0


def _context(info: Mapping[str, Any]) -> int:
    """The longest context that a model was made for; 0 where it is not told."""
    length = info.get(f"{info.get('general.architecture')}.context_length")
    return length if isinstance(length, int) else 0
