"""Fakes of the doors in `sparky/ports.py`. Each passes the contract suite of the real ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sparky.errors import BadAnswer, ContextExceeded, EngineError, SparkyError
from sparky.ports import Answer, Engine, Prompt
from tests.engines.speech import obedient, words


def plain(prompt: Prompt) -> str:
    """The smallest answer that satisfies the prompt's schema, or a sentence where it has none."""
    return obedient(prompt.schema, prompt.user)


class FakeBackend:
    """A `Backend` that answers from a function, the same for the same prompt.

    Args:
        reply: what to say to a prompt; an error that it returns is raised. `plain` by default.
        model: the model that is asked for.
        serves: the one that it has.
        context: tokens of prompt and answer together; a token is a word or a mark.
    """

    def __init__(
        self,
        reply: Callable[[Prompt], str | SparkyError] = plain,
        *,
        model: str = "fake-1",
        serves: str = "fake-1",
        context: int = 4096,
    ) -> None:
        self.prompts: list[Prompt] = []
        """Every prompt that was asked, in order."""
        self.closed = False
        self._reply = reply
        self._model = model
        self._serves = serves
        self._context = context

    def engine(self) -> Engine:
        if self._model != self._serves:
            raise EngineError(
                f"the fake engine does not serve {self._model}, but: {self._serves}",
                remedy="Ask for what it serves",
            )
        return Engine(name="fake", model=self._serves, context=self._context)

    def count(self, text: str) -> int:
        return len(words(text))

    def count_all(self, texts: Sequence[str]) -> list[int]:
        return [self.count(text) for text in texts]

    def complete(self, prompt: Prompt) -> Answer:
        engine = self.engine()
        self.prompts.append(prompt)
        prompt_tokens = self.count(prompt.system) + self.count(prompt.user)
        if prompt_tokens + prompt.max_tokens > engine.context:
            raise ContextExceeded(f"{prompt_tokens} tokens do not fit into {engine.context}")
        text = self._reply(prompt)
        if isinstance(text, SparkyError):
            raise text
        if self.count(text) > prompt.max_tokens:
            raise BadAnswer(f"the answer reached the limit of {prompt.max_tokens} tokens")
        if not text.strip():
            raise BadAnswer("the fake engine finished and said nothing")
        return Answer(
            text=text.strip(),
            model=engine.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=self.count(text),
        )

    def forget(self) -> None: ...

    def close(self) -> None:
        self.closed = True
