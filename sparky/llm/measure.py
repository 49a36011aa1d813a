"""How fast an engine is: alone, and with more and more requests at once.

A closed loop: so many callers, each of which asks again as soon as it has its answer.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sparky.errors import BadAnswer, SparkyError
from sparky.ports import Answer, Backend, Engine, Prompt

LEVELS = (1, 2, 4, 8, 16, 32, 64, 128)
GAIN = 1.03
"""Growth of tokens/s from one level to the next, below which a further level is not worth it."""
NEAR = 0.97
"""Of the highest throughput, what the best level must reach."""

_SYSTEM = (
    "You are an editor. You get a list of changes to a program, and write what they mean for the"
    " people who use it: plain words, no introduction, one sentence for each change."
)
_WORK = (
    "Fix", "Add", "Remove", "Rework", "Document", "Test", "Speed up", "Simplify", "Guard", "Rename"
)  # fmt: skip
_PARTS = (
    "the parser of empty lines", "the cache of clones", "retries after a timeout",
    "the table of settings", "the order of migrations", "a lock that outlives its process",
    "the reader of archives", "error messages of the client", "names of temporary files",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What came of so many requests at once. Times are seconds."""

    in_flight: int
    calls: int
    failed: int
    seconds: float
    tokens_per_second: float
    """Written by all together."""
    prompt_tokens_per_second: float
    first_token: float
    """Median time to the first token, its wait in the engine's queue included."""
    first_token_slowest: float
    each_token: float
    """Median time between two tokens of one answer."""
    cached_share: float
    """Of the prompts' tokens, those that the engine had in its prefix cache, as it tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an engine can do."""

    engine: Engine
    levels: tuple[Level, ...]
    memory: str
    """What the engine tells of its memory while it works."""
    error: str = ""
    """The first error of a call, in words."""

    @property
    def best(self) -> Level:
        """The fewest requests at once that bring about the highest throughput."""
        highest = max(level.tokens_per_second for level in self.levels)
        return next(v for v in self.levels if v.tokens_per_second >= NEAR * highest)


def measure(
    backend: Backend,
    *,
    levels: Sequence[int] = LEVELS,
    rounds: int = 3,
    changes: int = 14,
    max_tokens: int = 256,
    memory: Callable[[], str] = str,
    on_level: Callable[[int], None] = lambda in_flight: None,
) -> Report:
    """Ask one warm-up question, then level by level until more at once brings nothing more.

    Args:
        rounds: how many requests each caller makes at a level.
        changes: how many a prompt lists; 14 of them have about 300 tokens.
        memory: asked once in the middle of the last level.
        on_level: told of each level before it begins.

    Raises:
        Transient, Throttled, EngineError: the warm-up failed, or every call of a level did.
    """
    engine = backend.engine()
    prompts = _prompts(changes, max_tokens)
    _whole(backend, next(prompts))
    done: list[Level] = []
    told, error = "", ""
    for in_flight in levels:
        on_level(in_flight)
        answers, errors, seconds = _loop(backend, prompts, in_flight, rounds)
        if not answers:
            raise errors[0]
        error = error or (str(errors[0]) if errors else "")
        done.append(_level(in_flight, answers, len(errors), seconds))
        told = memory() or told
        # One level may be slow by chance, two in a row are enough.
        if len(done) >= 3 and all(
            later.tokens_per_second < GAIN * done[-3].tokens_per_second for later in done[-2:]
        ):
            break
    return Report(engine=engine, levels=tuple(done), memory=told, error=error)


def _loop(
    backend: Backend, prompts: Iterator[Prompt], in_flight: int, rounds: int
) -> tuple[list[Answer], list[SparkyError], float]:
    answers: list[Answer] = []
    errors: list[SparkyError] = []
    lock = threading.Lock()

    def call() -> None:
        for _ in range(rounds):
            with lock:
                prompt = next(prompts)
            try:
                answer = _whole(backend, prompt)
            except SparkyError as error:
                with lock:
                    errors.append(error)
            else:
                with lock:
                    answers.append(answer)

    threads = [threading.Thread(target=call, name="bench") for _ in range(in_flight)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, errors, time.perf_counter() - began


def _whole(backend: Backend, prompt: Prompt) -> Answer:
    """The answer, also one that is cut at its limit: here it counts, not what it says."""
    try:
        return backend.complete(prompt)
    except BadAnswer as bad:
        if not bad.completion_tokens:
            raise
        return Answer("", "", bad.prompt_tokens, bad.completion_tokens, seconds=bad.seconds)


def _level(in_flight: int, answers: Sequence[Answer], failed: int, seconds: float) -> Level:
    written = sum(answer.completion_tokens for answer in answers)
    read = sum(answer.prompt_tokens for answer in answers)
    # A cut answer does not tell when it began.
    told = [answer for answer in answers if answer.first_token_seconds]
    first = [answer.first_token_seconds for answer in told] or [0.0]
    each = [
        (answer.seconds - answer.first_token_seconds) / (answer.completion_tokens - 1)
        for answer in told
        if answer.completion_tokens > 1
    ]
    return Level(
        in_flight=in_flight,
        calls=len(answers) + failed,
        failed=failed,
        seconds=seconds,
        tokens_per_second=written / seconds,
        prompt_tokens_per_second=read / seconds,
        first_token=statistics.median(first),
        first_token_slowest=max(first),
        each_token=statistics.median(each) if each else 0.0,
        cached_share=sum(answer.cached_tokens for answer in answers) / max(read, 1),
    )


def _prompts(changes: int, max_tokens: int) -> Iterator[Prompt]:
    """Prompts without end: the same system text, and no list of changes twice."""
    number = int(time.time()) % 100_000 * 1000
    while True:
        lines = []
        for _ in range(changes):
            number += 1
            work, part = _WORK[number % len(_WORK)], _PARTS[number // 7 % len(_PARTS)]
            lines.append(f"{number}: {work} {part} in module {number % 89}")
        yield Prompt(_SYSTEM, "Changes:\n" + "\n".join(lines), max_tokens)
