"""An answer, put together from the parts that an engine streams, and judged.

Reasoning is no part of an answer: it comes in a field of its own, between tags, or leaks in the
plain form of a channel format. What is left must be whole, or it is a BadAnswer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sparky.errors import BadAnswer, Transient
from sparky.llm.tokens import Estimator
from sparky.ports import Answer, Engine, Prompt

_OPEN, _CLOSE = "<think>", "</think>"
_CHANNEL = re.compile(r"<\|channel\|>final(?:\s*<\|constrain\|>\w+|\s+\w+)?<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:return|end|start|call)\|>.*\Z", re.DOTALL)
_LEAK = re.compile(r"\A\s*analysis.*?assistantfinal", re.DOTALL)


@dataclass(slots=True)
class Draft:
    """What has come of an answer so far."""

    limit: int = 0
    """Tokens that it may have."""
    text: str = ""
    reasoned: bool = False
    finish: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    first_token_seconds: float = 0.0
    joules: float | None = None

    def finished(
        self, prompt: Prompt, *, server: str, engine: Engine, seconds: float, estimator: Estimator
    ) -> Answer:
        """The whole answer.

        Counts that the engine did not give are estimated; those that it gave teach the estimator.

        Raises:
            Transient: the stream ended before the answer did.
            BadAnswer: the answer is cut at its length limit, empty, or ended for an odd reason.
        """
        asked = f"{prompt.system}{prompt.user}"
        if self.prompt_tokens:
            estimator.learn(asked, self.prompt_tokens)
        raw = _storable(self.text)
        text = without_reasoning(raw)
        prompt_tokens = self.prompt_tokens or estimator.estimate(asked)
        completion_tokens = self.completion_tokens or estimator.estimate(raw)

        def bad(message: str) -> BadAnswer:
            return BadAnswer(
                message,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                seconds=seconds,
            )

        if not self.finish:
            raise Transient(f"the engine at {server} broke off in the middle of its answer")
        if self.finish == "length":
            spent = "reasoning and answer" if self.reasoned or text != raw.strip() else "the answer"
            raise bad(f"{spent} reached the limit of {self.limit} tokens and was cut")
        if self.finish not in ("stop", "eos", "eos_token", "stop_token"):
            raise bad(f"the engine at {server} ended its answer with {self.finish!r}")
        if not text:
            only = "only reasoning" if self.reasoned or raw.strip() else "nothing"
            raise bad(f"the engine at {server} finished and said {only}")
        return Answer(
            text=text,
            model=self.model or engine.model,
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            cached_tokens=self.cached_tokens,
            seconds=seconds,
            finish="stop",
            engine=engine.name,
            server=server,
            reasoning_tokens=self.reasoning_tokens,
            first_token_seconds=self.first_token_seconds or seconds,
            joules=self.joules,
        )


def _storable(text: str) -> str:
    """The text with characters whose halves came in two parts made whole, and without NUL.

    A half that stays alone and NUL are text for nobody: neither UTF-8 nor Postgres has them.
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", "")


def without_reasoning(text: str) -> str:
    """The answer alone; empty if there is only reasoning."""
    text = text.strip()
    if text.startswith(("{", "[")):  # JSON that may well speak of such marks
        return text
    if final := _CHANNEL.search(text):
        return _CHANNEL_END.sub("", text[final.end() :]).strip()
    if "<|channel|>" in text[:64]:
        return ""
    if leak := _LEAK.match(text):
        return text[leak.end() :].strip()
    if text.startswith(_OPEN):
        return text.partition(_CLOSE)[2].strip()
    # Some templates open the tag in the prompt, so that only its end is in the answer.
    return text.partition(_CLOSE)[2].strip() if _CLOSE in text else text
