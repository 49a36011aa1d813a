"""Many engines behave as one, whatever some of them do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from sparky.errors import (
    BadAnswer,
    ContextExceeded,
    EngineError,
    SparkyError,
    Throttled,
    Transient,
    UsageError,
)
from sparky.llm.breaker import FAILURES
from sparky.llm.canary import QUESTION
from sparky.llm.faults import Overloaded
from sparky.llm.router import FREE_ESCALATIONS, OUTAGE, Router
from sparky.llm.seat import CALLERS, Member
from sparky.ports import Answer, Prompt
from tests.fakes import FakeBackend, plain

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ASK = Prompt("You sort.", "Sort this.", 64)
STRICT = Prompt("You sort.", "Sort this.", 64, {"type": "object"})


class Watch:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds

    def clock(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


class Machine(FakeBackend):
    """An engine whose troubles a test switches on. It says its name."""

    def __init__(self, name: str, *, model: str = "m", context: int = 4096) -> None:
        super().__init__(self._say, model=model, serves=model, context=context)
        self.name = name
        self.trouble: Callable[[Prompt], str | SparkyError] | None = None
        self.canary: str | SparkyError = "Paris."
        self.asked = 0
        self.sung = 0
        self.answers_as = ""

    def _say(self, prompt: Prompt) -> str | SparkyError:
        if prompt == QUESTION:
            self.sung += 1
            return self.canary
        self.asked += 1
        if self.trouble is not None:
            return self.trouble(prompt)
        return plain(prompt) if prompt.schema else f"by {self.name}"

    def complete(self, prompt: Prompt) -> Answer:
        answer = super().complete(prompt)
        if not self.answers_as or prompt == QUESTION:
            return answer
        return Answer(answer.text, self.answers_as, 1, 1)


def member(machine: Machine, **more: object) -> Member:
    fields = {"name": machine.name, "backend": machine, "model": "m", **more}
    return Member(**fields)  # type: ignore[arg-type]


@contextmanager
def pool(*members: Member, **options: float) -> Iterator[tuple[Router, Watch]]:
    watch = Watch()
    router = Router(members, clock=watch.clock, now=watch, **options)
    try:
        yield router, watch
    finally:
        router.close()


def raising(error: SparkyError) -> Callable[[Prompt], SparkyError]:
    return lambda prompt: error


# ---- who answers


def test_each_engine_gets_its_part() -> None:
    """By weight: one of weight 3 gets three times what one of weight 1 gets."""
    busy = threading.Barrier(17)
    a, b = Machine("a"), Machine("b")

    def hold(prompt: Prompt) -> str:
        busy.wait(20)
        return "held"

    with pool(member(a, weight=3.0), member(b)) as (router, _):
        warm(router, 2)
        a.trouble = b.trouble = hold
        a.asked = b.asked = 0
        with ThreadPoolExecutor(16) as threads:
            answers = [threads.submit(router.complete, ASK) for _ in range(16)]
            busy.wait(20)
            assert {answer.result().text for answer in answers} == {"held"}
    assert (a.asked, b.asked) == (12, 4)


def warm(router: Router, engines: int) -> None:
    """Ask until all engines have proved themselves."""
    while sum(seat.breaker.closed for seat in router.seats()) < engines:
        router.complete(ASK)


def test_an_answer_names_the_engine_that_gave_it() -> None:
    with pool(member(Machine("http://a"))) as (router, _):
        assert router.complete(ASK).server == "http://a"


def test_no_more_is_in_flight_than_allowed() -> None:
    """Callers beyond that wait, and are served as soon as one has gone."""
    machine, lock = Machine("a"), threading.Lock()
    now, most = 0, 0
    gate = threading.Semaphore(0)

    def count(prompt: Prompt) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        gate.acquire(timeout=20)
        with lock:
            now -= 1
        return "done"

    with pool(member(machine, max_in_flight=3)) as (router, _):
        router.complete(ASK)
        machine.trouble = count
        with ThreadPoolExecutor(12) as threads:
            answers = [threads.submit(router.complete, ASK) for _ in range(12)]
            gate.release(12)
            assert [answer.result().text for answer in answers] == ["done"] * 12
    assert most == 3


# ---- trouble


def test_an_engine_is_asked_something_known_before_it_is_used() -> None:
    machine = Machine("a")
    with pool(member(machine)) as (router, _):
        router.complete(ASK)
        router.complete(ASK)
    assert (machine.sung, machine.asked) == (1, 2)


def test_an_engine_that_writes_nonsense_gets_no_work() -> None:
    """Its health checks are green, and the user reads what it says."""
    odd, sound = Machine("odd"), Machine("sound")
    odd.canary = "!!!!!!!!!!!!"
    with pool(member(odd), member(sound)) as (router, _):
        assert {router.complete(ASK).text for _ in range(20)} == {"by sound"}
    assert odd.asked == 0
    with pool(member(odd)) as (router, _), pytest.raises(EngineError, match=r"says: !!!!!!!!!!!!"):
        router.complete(ASK)


@pytest.mark.parametrize(
    "error",
    [
        Transient("it broke off"),
        EngineError("wrong key"),
        Throttled("later", until=NOW + timedelta(hours=1)),
    ],
)
def test_what_one_engine_fails_at_another_does(error: SparkyError) -> None:
    """The caller sees nothing of it."""
    bad, good = Machine("bad"), Machine("good")
    with pool(member(bad), member(good)) as (router, _):
        warm(router, 2)
        bad.asked = 0
        bad.trouble = raising(error)
        assert {router.complete(ASK).text for _ in range(20)} == {"by good"}
    assert 1 <= bad.asked <= FAILURES


def test_an_engine_in_trouble_is_left_alone_until_its_canary_sings() -> None:
    bad, good = Machine("bad"), Machine("good")
    with pool(member(bad, max_in_flight=1), member(good, max_in_flight=1)) as (router, watch):
        warm(router, 2)
        bad.trouble = raising(Transient("reset"))
        bad.canary = Transient("reset")
        for _ in range(50):
            router.complete(ASK)
        asked = bad.asked
        for _ in range(50):
            router.complete(ASK)
        assert bad.asked == asked
        bad.trouble, bad.canary = None, "Paris."
        while {router.complete(ASK).text for _ in range(4)} == {"by good"}:
            watch.seconds += 1
    assert bad.asked > asked


def test_a_caller_gets_the_error_when_every_engine_fails() -> None:
    a, b = Machine("a"), Machine("b")
    with pool(member(a), member(b)) as (router, _):
        warm(router, 2)
        a.trouble = b.trouble = raising(Transient("reset by peer"))
        with pytest.raises(Transient, match="reset by peer"):
            router.complete(ASK)


def test_an_engine_that_was_never_there_is_an_error_at_once() -> None:
    """A wrong URL is told to the user as it is."""
    machine = Machine("a")
    machine.canary = Transient("the engine cannot be reached")
    with pool(member(machine)) as (router, _), pytest.raises(Transient, match="cannot be reached"):
        router.complete(ASK)


def test_an_outage_burns_no_attempt_for_a_while() -> None:
    """A step waits in the database while an engine restarts; in the end the run must end."""
    machine = Machine("a")
    with pool(member(machine)) as (router, watch):
        router.complete(ASK)
        machine.trouble = raising(Transient("reset"))
        machine.canary = Transient("connection refused")
        for _ in range(FAILURES):
            with pytest.raises(Transient):
                router.complete(ASK)
        with pytest.raises(Throttled) as caught:
            router.complete(ASK)
        assert watch.clock() < caught.value.until < watch.clock() + timedelta(minutes=3)
        watch.seconds += OUTAGE + 1
        with pytest.raises(Transient, match="refused"):
            router.complete(ASK)


def test_no_room_is_no_error() -> None:
    """The call comes back to the engine when it has rested, and the limit is halved."""
    machine = Machine("a")
    full = iter([Overloaded("busy"), Overloaded("busy")])
    with pool(member(machine)) as (router, watch):
        router.complete(ASK)
        limit = router.seats()[0].limiter.limit

        def refuse(prompt: Prompt) -> str | SparkyError:
            watch.seconds += 30
            return next(full, "done")

        machine.trouble = refuse
        waits = threading.Thread(target=_pass, args=(watch, done := threading.Event()))
        waits.start()
        assert router.complete(ASK).text == "done"
        done.set()
        waits.join()
        assert router.seats()[0].limiter.limit == limit // 4


def _pass(watch: Watch, done: threading.Event) -> None:
    """Let time pass until something is done."""
    while not done.wait(0.01):
        watch.seconds += 1


def test_another_model_never_answers_in_its_place() -> None:
    """Somebody restarts the server with another model under the same address."""
    machine = Machine("a")
    with pool(member(machine)) as (router, _):
        router.complete(ASK)
        machine.answers_as = "other"
        with pytest.raises(EngineError, match="answers as other, and was m before"):
            router.complete(ASK)


def test_a_prompt_that_is_too_long_is_nobodys_trouble() -> None:
    a, b = Machine("a"), Machine("b")
    with pool(member(a), member(b)) as (router, _):
        warm(router, 2)
        a.trouble = b.trouble = raising(ContextExceeded("too long"))
        for _ in range(10):
            with pytest.raises(ContextExceeded):
                router.complete(ASK)
        assert all(seat.breaker.closed for seat in router.seats())


def test_waiting_callers_are_sent_away_when_it_closes() -> None:
    machine, inside, gate = Machine("a"), threading.Event(), threading.Event()

    def hold(prompt: Prompt) -> str:
        inside.set()
        gate.wait(20)
        return "done"

    with pool(member(machine, max_in_flight=1)) as (router, _), ThreadPoolExecutor(2) as threads:
        router.complete(ASK)
        machine.trouble = hold
        first = threads.submit(router.complete, ASK)
        inside.wait(20)
        second = threads.submit(router.complete, ASK)
        router.close()
        with pytest.raises(Transient, match="closed"):
            second.result()
        gate.set()
        assert first.result().text == "done"


# ---- bad answers


def test_what_is_no_json_is_asked_of_another_engine() -> None:
    bad, good = Machine("bad"), Machine("good")
    with pool(member(bad), member(good)) as (router, _):
        warm(router, 2)
        bad.trouble = lambda prompt: "\ufffd\ufffd\ufffd nonsense"
        assert [router.complete(STRICT).text for _ in range(10)] == ["{}"] * 10


def test_json_between_words_is_json() -> None:
    """Engines that cannot be held to a schema write fences around it."""
    machine = Machine("a")
    machine.trouble = lambda prompt: 'Here:\n```json\n{"a": 1}\n```'
    with pool(member(machine)) as (router, _):
        assert '{"a": 1}' in router.complete(STRICT).text


def test_bad_answers_in_a_row_make_the_canary_sing() -> None:
    machine = Machine("a")
    with pool(member(machine)) as (router, _):
        router.complete(ASK)
        machine.trouble = raising(BadAnswer("cut"))
        for _ in range(FAILURES):
            with pytest.raises(BadAnswer):
                router.complete(ASK)
        machine.trouble = None
        assert router.complete(ASK).text == "by a"
        assert machine.sung == 2


def test_a_failed_answer_goes_to_a_higher_tier_that_is_named() -> None:
    small, large = Machine("small"), Machine("large", model="big")
    small.trouble = raising(BadAnswer("cut"))
    with pool(member(small), member(large, tier=1, model="big")) as (router, _):
        answer = router.complete(ASK)
    assert (answer.text, answer.model, answer.server) == ("by large", "big", "large")


def test_a_higher_tier_is_not_asked_without_need() -> None:
    small, large = Machine("small"), Machine("large", model="big")
    with pool(member(small), member(large, tier=1, model="big")) as (router, _):
        for _ in range(5):
            router.complete(ASK)
    assert (large.asked, large.sung) == (0, 0)


def test_an_outage_is_no_reason_for_another_model() -> None:
    small, large = Machine("small"), Machine("large", model="big")
    small.canary = Transient("away")
    with (
        pool(member(small), member(large, tier=1, model="big")) as (router, _),
        pytest.raises(Transient, match="away"),
    ):
        router.complete(ASK)
    assert large.asked == 0


def test_escalation_ends_with_its_budget() -> None:
    small, large = Machine("small"), Machine("large", model="big")
    small.trouble = raising(BadAnswer("cut"))
    members = (member(small), member(large, tier=1, model="big"))
    with pool(*members, escalate=0.0) as (router, _):
        for _ in range(FREE_ESCALATIONS):
            router.complete(ASK)
        with pytest.raises(BadAnswer, match="cut"):
            router.complete(ASK)


# ---- what it says of itself


def test_keys_stay_the_same_whichever_engine_is_up() -> None:
    """The pool's model is a name for what was configured."""
    a, b = Machine("a", model="m1"), Machine("b", model="m2", context=2048)
    members = (member(a, model="m1"), member(b, model="m2"))
    with pool(*members) as (router, _):
        whole = router.engine()
    b._serves = "another"
    with pool(*members) as (router, _):
        partial = router.engine()
    assert whole.model == partial.model == "m1 | m2"
    assert (whole.context, partial.context) == (2048, 4096)


def test_higher_tiers_are_no_part_of_its_name() -> None:
    """An answer of the first tier stays valid when a tier is added."""
    members = (member(Machine("a")), member(Machine("b", model="big"), tier=1, model="big"))
    with pool(*members) as (router, _):
        assert router.engine().model == "m"


def test_one_engine_is_itself() -> None:
    machine = Machine("a")
    with pool(member(machine, model="")) as (router, _):
        found, engine = router.engine(), machine.engine()
    assert (found.name, found.model, found.context) == (engine.name, engine.model, engine.context)


def test_it_asks_for_as_many_callers_as_are_worth_having() -> None:
    """Batching engines take what comes; what a person allows is the most."""
    members = (member(Machine("a"), max_in_flight=6), member(Machine("b")))
    with pool(*members) as (router, _):
        assert router.engine().slots == 6 + CALLERS


def test_counts_come_from_an_engine_that_is_up() -> None:
    a, b = Machine("a"), Machine("b")

    def silent(texts: object) -> list[int]:
        raise Transient("away")

    a.count_all = silent  # type: ignore[method-assign, assignment]
    with pool(member(a), member(b)) as (router, _):
        assert router.count("three words here") == 3
        assert router.count_all(["one", "two words"]) == [1, 2]


def test_engines_come_and_go() -> None:
    a, b = Machine("a"), Machine("b")
    with pool(member(a)) as (router, _):
        assert router.complete(ASK).text == "by a"
        router.join(member(b))
        warm(router, 2)
        router.leave("a")
        assert {router.complete(ASK).text for _ in range(5)} == {"by b"}


def test_an_engine_is_in_the_pool_once() -> None:
    machine = Machine("a")
    with pytest.raises(UsageError, match="a is in the pool twice"):
        Router([member(machine), member(machine)])


def test_a_pool_without_engines_is_refused() -> None:
    with pytest.raises(UsageError, match="no engines"):
        Router([])
