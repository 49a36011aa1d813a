"""Triton Inference Server: over its generate endpoints (HTTP, server-sent events), or over gRPC.

Both answer for models that send one response and for models that send many, so one way serves
both layouts of TensorRT-LLM: the LLM API's (`tensorrt_llm` with `sampling_param_…`) and the older
one (`ensemble`, `tensorrt_llm_bls`). What a model's configuration does not declare is not sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from sparky.errors import EngineError, Transient
from sparky.llm.answers import Draft
from sparky.llm.backend import HttpBackend, Options, messages
from sparky.llm.kserve import SCHEMES, GrpcWire
from sparky.llm.template import ChatTemplate
from sparky.llm.wire import Wire
from sparky.ports import Engine, Prompt

_USUAL = ("ensemble", "tensorrt_llm_bls", "tensorrt_llm")
"""The models of one deployment that take text, the outermost first."""


class TritonBackend(HttpBackend):
    """A Triton server as a `Backend`. It tells neither a context nor, in most layouts, counts.

    Args:
        template: the served model's `tokenizer_config.json`, whose chat template is applied here,
            as Triton applies none; plain text is sent without it.
    """

    SCHEMA = frozenset({"guided_decoding_guide_type", "guided_decoding_guide"})

    def __init__(
        self,
        url: str,
        model: str | None = None,
        api_key: str | None = None,
        *,
        template: Path | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(url, model, api_key, **options)
        self._template = ChatTemplate(template) if template else None
        self._inputs: frozenset[str] = frozenset()
        self._decoupled = False

    def _way(self, url: str) -> type[Wire]:
        return GrpcWire if url.strip().startswith(SCHEMES) else Wire

    def _probe(self) -> Engine:
        ready = self._wire.ask("GET", "/v2/health/ready")
        if ready.status == 404:
            raise EngineError(
                f"the server at {self._wire.url} is not Triton",
                remedy="Check SPARKY_LLM_URL and SPARKY_LLM_KIND (openai, ollama or triton)",
            )
        if ready.status == 400:  # its way to say so
            raise Transient(f"the engine at {self._wire.url} is not ready yet")
        self._wire.expect(ready)
        index = self._wire.ask("POST", "/v2/repository/index", {"ready": True})
        self._wire.expect(index)
        configs = {name: self._config(name) for name in _names(index.body)}
        textual = [name for name, config in configs.items() if "text_input" in _inputs(config)]
        model = self._usual(textual) or self._choose(textual)
        config = configs[model]
        self._inputs = _inputs(config)
        self._decoupled = bool((config.get("model_transaction_policy") or {}).get("decoupled"))
        return Engine("triton", model, self._bounded(0) - self._reasoning, self._slots or 8)

    def _config(self, model: str) -> Mapping[str, Any]:
        return self._wire.get(f"/v2/models/{model}/config")

    def _usual(self, textual: list[str]) -> str:
        if self._wanted is not None:
            return ""
        return next((name for name in _USUAL if name in textual), "")

    def _path(self, engine: Engine) -> str:
        return f"/v2/models/{engine.model}/generate_stream"

    def _body(self, prompt: Prompt, engine: Engine, limit: int) -> dict[str, Any]:
        body: dict[str, Any] = {
            "text_input": self._text(prompt),
            # The LLM API's layout
            "streaming": self._decoupled,
            "sampling_param_max_tokens": limit,
            "sampling_param_temperature": prompt.temperature,
            "sampling_param_seed": prompt.seed,
            "sampling_param_exclude_input_from_output": True,
            "return_finish_reason": True,
            # The older layout
            "stream": False,
            "max_tokens": limit,
            "temperature": prompt.temperature,
            "seed": prompt.seed,
            "exclude_input_in_output": True,
            "return_num_input_tokens": True,
            "return_num_output_tokens": True,
        }
        if prompt.schema is not None:
            body["guided_decoding_guide_type"] = "json_schema"
            body["guided_decoding_guide"] = json.dumps(prompt.schema)
        return {name: value for name, value in body.items() if name in self._inputs}

    def _text(self, prompt: Prompt) -> str:
        if self._template:
            return self._template.render(messages(prompt))
        return "\n\n".join(text for text in (prompt.system, prompt.user) if text) + "\n"

    def _add(self, draft: Draft, part: Mapping[str, Any]) -> None:
        # Each response holds the whole text so far, in both layouts as they are asked here; a last
        # one may be empty.
        draft.text = part["text_output"] or draft.text
        draft.prompt_tokens = int(part.get("num_input_tokens") or draft.prompt_tokens)
        draft.completion_tokens = int(part.get("num_output_tokens") or draft.completion_tokens)
        finish = part.get("finish_reason")
        # The older layout gives no reason: an answer is cut when it has all the tokens it may have.
        if finish is None:
            draft.finish = "length" if draft.completion_tokens >= draft.limit else "stop"
        elif finish != "None":
            draft.finish = str(finish)


def _names(index: bytes) -> list[str]:
    """The models in the repository's index that are ready."""
    try:
        models = json.loads(index)
        return [str(m["name"]) for m in models if m.get("state", "READY") == "READY"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return []


def _inputs(config: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(str(entry["name"]) for entry in config.get("input") or ())
