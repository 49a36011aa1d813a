"""A model's own chat template, for servers that apply none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import Template, TemplateError
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sparky.errors import UsageError

_REMEDY = "Give the tokenizer_config.json that came with the model's weights"


class ChatTemplate:
    """Turns messages into the one text that a model was trained on.

    Args:
        path: the model's `tokenizer_config.json`; a `chat_template.jinja` beside it goes first.

    Raises:
        UsageError: there is no such file, or no template in it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            beside = path.with_name("chat_template.jinja")
            source = beside.read_text(encoding="utf-8") if beside.is_file() else _source(config)
            self._tokens = _tokens(config)
            self._template = _compile(source)
        except (OSError, ValueError, AttributeError, TemplateSyntaxError) as error:
            raise UsageError(
                f"no chat template can be read from {path} ({error})", remedy=_REMEDY
            ) from error

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The prompt's text, up to where the answer begins.

        Raises:
            UsageError: the template fails, or does what a template must not do.
        """
        try:
            return self._render(messages)
        except SecurityError as error:
            raise UsageError(f"the chat template of {self._path} is unsafe ({error})") from error
        except TemplateError:
            # Some models know no system turn, and their templates say so by failing.
            text = "\n\n".join(message["content"] for message in messages)
            try:
                return self._render([{"role": "user", "content": text}])
            except TemplateError as error:
                raise UsageError(
                    f"the chat template of {self._path} fails ({error})", remedy=_REMEDY
                ) from error

    def _render(self, messages: Sequence[Mapping[str, str]]) -> str:
        return self._template.render(
            messages=messages, add_generation_prompt=True, tools=None, **self._tokens
        )


def _source(config: Mapping[str, Any]) -> str:
    """The template in the configuration: a text, or the one of several that is called default."""
    template = config.get("chat_template")
    if isinstance(template, list):
        template = next((t["template"] for t in template if t.get("name") == "default"), None)
    if not isinstance(template, str):
        raise ValueError("it holds no chat_template")
    return template


def _tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens that a template may name."""
    tokens = {}
    for name in ("bos_token", "eos_token", "unk_token", "pad_token"):
        value = config.get(name)
        value = value.get("content") if isinstance(value, dict) else value
        if isinstance(value, str):
            tokens[name] = value
    return tokens


def _compile(source: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = _fail
    # The date would make each day's prompts differ, and with them every key of the cache.
    fixed = datetime(2024, 1, 1, tzinfo=UTC)
    environment.globals["strftime_now"] = fixed.strftime
    return environment.from_string(source)


def _fail(message: str) -> NoReturn:
    raise TemplateError(message)
