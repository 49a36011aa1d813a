"""Triton: what the real server does not do in the contract suite, and the template of chats."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparky.errors import BadAnswer, EngineError, Transient, UsageError
from sparky.llm.template import ChatTemplate
from sparky.llm.triton import TritonBackend
from sparky.ports import Answer, Prompt
from tests.engines.server import Reply, Request, StandIn, events

PROMPT = Prompt("You sort.", "Sort this.", 32, {"type": "object"})
CHATML = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Triton(StandIn):
    """The generate extension over models given as name → inputs."""

    def __init__(self, models: dict[str, list[str]], *parts: dict[str, Any]) -> None:
        super().__init__()
        self.models = models
        self.parts = parts
        self.ready = True

    def answer(self, request: Request) -> Reply:
        path = request.path.removeprefix("/v2/")
        if path == "health/ready":
            return Reply(200 if self.ready else 400)
        if path == "repository/index":
            states = [{"name": m, "version": "1", "state": "READY"} for m in self.models]
            return Reply(body=[*states, {"name": "broken", "state": "UNAVAILABLE"}])
        for name, inputs in self.models.items():
            if path == f"models/{name}/config":
                return Reply(body={"name": name, "input": [{"name": i} for i in inputs]})
            if path == f"models/{name}/generate_stream":
                return Reply(parts=list(events(self.parts))[:-1], kind="text/event-stream")
        return Reply(404, {"error": "Request for unknown model: 'x' is not found"})

    @property
    def sent(self) -> dict[str, Any]:
        """The latest request of a generation."""
        return self.requests[-1].body or {}


def ask(server: Triton, **options: Any) -> Answer:
    backend = TritonBackend(server.url, **options)
    try:
        return backend.complete(PROMPT)
    finally:
        backend.close()


OLDER = {"ensemble": ["text_input", "max_tokens", "temperature"], "tensorrt_llm": ["input_ids"]}


def test_only_declared_inputs_are_sent() -> None:
    """Triton refuses what a model does not declare; the prompt is plain text without a template."""
    with Triton(OLDER, {"text_output": "Done."}) as server:
        assert ask(server).text == "Done."
        assert server.sent == {
            "text_input": "You sort.\n\nSort this.\n",
            "max_tokens": 32,
            "temperature": 0.0,
        }


def test_the_outermost_model_answers() -> None:
    """Of a deployment's models, only those that take text can be asked."""
    with Triton(OLDER) as server:
        backend = TritonBackend(server.url)
        assert backend.engine().model == "ensemble"
        backend.close()
        backend = TritonBackend(server.url, "tensorrt_llm")
        with pytest.raises(EngineError, match="ensemble"):
            backend.engine()
        backend.close()


def test_unusual_models_must_be_chosen() -> None:
    """No model is taken by chance."""
    with Triton({"a": ["text_input"], "b": ["text_input"]}) as server:
        with pytest.raises(EngineError, match="a, b"):
            ask(server)
        backend = TritonBackend(server.url, "b")
        assert backend.engine().model == "b"
        backend.close()


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([{"text_output": "Do"}, {"text_output": "Done."}], "Done."),
        ([{"text_output": "Done.", "finish_reason": "stop"}, {"text_output": ""}], "Done."),
    ],
)
def test_responses_hold_the_text_so_far(parts: list[dict[str, Any]], text: str) -> None:
    """They are not added up; an empty last one takes nothing away."""
    with Triton(OLDER, *parts) as server:
        assert ask(server).text == text


def test_an_answer_that_used_all_its_tokens_is_cut() -> None:
    """The older layout names no reason, so its count tells."""
    with (
        Triton(OLDER, {"text_output": "Half an", "num_output_tokens": 32}) as server,
        pytest.raises(BadAnswer, match="limit of 32"),
    ):
        ask(server)


def test_an_error_with_status_200_is_an_error() -> None:
    """The generate extension sets its status before the model fails."""
    with Triton(OLDER, {"error": "executor died"}) as server, pytest.raises(Transient):
        ask(server)


def test_a_server_that_loads_can_be_tried_again() -> None:
    """It is not ready yet."""
    with Triton(OLDER) as server:
        server.ready = False
        with pytest.raises(Transient, match="not ready"):
            ask(server)


# ---- templates


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"chat_template": CHATML, "bos_token": {"content": "<s>"}}))
    return path


def test_a_models_own_template_is_applied(config: Path) -> None:
    """Triton gets the text that the model was trained on."""
    with Triton(OLDER, {"text_output": "Done."}) as server:
        ask(server, template=config)
        assert server.sent["text_input"] == (
            "<s><|im_start|>system\nYou sort.<|im_end|>\n<|im_start|>user\nSort this.<|im_end|>\n"
            "<|im_start|>assistant\n"
        )


def test_one_of_several_templates_is_the_default(tmp_path: Path) -> None:
    """Some models bring one for tools as well."""
    path = tmp_path / "tokenizer_config.json"
    several = [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]
    path.write_text(json.dumps({"chat_template": several}))
    assert ChatTemplate(path).render([{"role": "user", "content": "Hi"}]) == "y"


def test_a_template_beside_the_configuration_goes_first(config: Path) -> None:
    """Newer models keep it in a file of its own."""
    config.with_name("chat_template.jinja").write_text("{{ messages[0].content }}!")
    assert ChatTemplate(config).render([{"role": "user", "content": "Hi"}]) == "Hi!"


def test_a_model_without_a_system_turn_gets_one_turn(config: Path) -> None:
    """Its template fails on a system turn; nothing of the prompt is lost."""
    picky = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    text = json.dumps({"chat_template": picky + "{{ messages[0].content }}"})
    config.write_text(text)
    messages = [{"role": "system", "content": "You sort."}, {"role": "user", "content": "This."}]
    assert ChatTemplate(config).render(messages) == "You sort.\n\nThis."


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception('never') }}",
    ],
)
def test_a_template_cannot_do_harm(config: Path, template: str) -> None:
    """It comes with downloaded weights, so it is run in a sandbox."""
    config.write_text(json.dumps({"chat_template": template}))
    with pytest.raises(UsageError, match="chat template"):
        ChatTemplate(config).render([{"role": "user", "content": "Hi"}])


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"chat_template": "{% if %}"}'])
def test_a_file_without_a_template_is_refused(tmp_path: Path, content: str | None) -> None:
    """The user is told which file to give."""
    path = tmp_path / "tokenizer_config.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=r"tokenizer_config\.json"):
        ChatTemplate(path)
