"""A window that changes while its digest is being made: the job begins anew and ends whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from sparky import pipeline
from sparky.farm.bodies import BEGUN, BODIES
from sparky.farm.context import Context, of
from sparky.farm.step import perform
from sparky.model import Activity, Digest, Status
from sparky.settings import Settings
from sparky.store.runs import Runs
from tests.fakes import FakeBackend
from tests.integration.test_refresh import REPO, WINDOW, Happened, commit
from tests.servers import Servers

Deed = Callable[[list[Activity]], None]


class Night:
    """One run over one window, step by step; in between another job reads the same repository."""

    def __init__(self, context: Context) -> None:
        self.source = Happened([commit(n) for n in range(40)])
        self.backend = FakeBackend(context=8192)
        self.at = replace(context, backend=self.backend, source=self.source)
        self.words: list[str] = []

    def run(self, deed: Deed, *, before: str, times: int = 1) -> Digest:
        """The digest, where the deed was done so many times, each before a step of that stage."""
        at, done = self.at, 0
        bells = list(
            Runs(at.store.engine, farm=at.settings.farm).start(uuid4().hex, WINDOW, [REPO.id], {})
        )
        while bells:
            bell = bells.pop(0)
            if bell.stage == before and done < times:
                done += 1
                deed(self.source.happened)
                pipeline.fetch(REPO, WINDOW, source=self.source, store=at.store)
            (step,) = perform(bell.step_id, BODIES[bell.stage], at, worker="w")
            self.words.append(step.word)
            bells += step.bells
        digest = at.store.digest(REPO.id, WINDOW)
        assert digest is not None
        return digest

    @property
    def chunks_asked(self) -> int:
        return sum("The activities stand" in prompt.user for prompt in self.backend.prompts)


@pytest.fixture
def making(servers: Servers, database: str, tmp_path: Path) -> Iterator[Context]:
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm=f"c{uuid4().hex[:24]}",
    )
    context = of(settings)
    context.store.add_repo(REPO)
    yield context
    context.store.close()


def amend(happened: list[Activity]) -> None:
    """A forced push: a commit is written anew, under another name."""
    happened[3] = replace(commit(100), at=happened[3].at)


def drop(happened: list[Activity]) -> None:
    del happened[3]


def add(happened: list[Activity]) -> None:
    happened.append(replace(commit(100), at=commit(39).at))


@pytest.mark.parametrize("before", ["chunk", "summarize", "rollup"])
@pytest.mark.parametrize("deed", [amend, drop, add])
def test_what_changes_in_between_makes_no_partial_digest(
    making: Context, deed: Deed, before: str
) -> None:
    """All that is there at last is told, as the engine says it; what has not changed is not asked
    about twice."""
    night = Night(making)
    digest = night.run(deed, before=before)
    (ledger,) = digest.ledger
    told = {key for point in digest.points for key in point.cites}
    told |= {omission.key for omission in ledger.omitted}
    assert (digest.status, digest.notes) == (Status.DONE, ())
    assert told == {one.key for one in night.source.happened}
    assert ledger.expected == ledger.fetched == len(night.source.happened)
    about = [p.user for p in night.backend.prompts if "The activities stand" in p.user]
    assert len(about) == len(set(about))
    if deed is not drop:
        assert any("part 100" in user for user in about)
    made, again = night.at.store.digest(REPO.id, WINDOW), len(night.backend.prompts)
    assert night.run(lambda _: None, before="fetch") == made
    assert len(night.backend.prompts) == again


def test_what_never_stands_still_makes_a_digest_all_the_same(making: Context) -> None:
    """Another commit is gone each time that the roll-up begins: it begins anew three times, and
    then tells of what there is."""
    night = Night(making)
    digest = night.run(drop, before="rollup", times=99)
    assert night.words.count("anew") == BEGUN
    assert digest.status is Status.PARTIAL
    assert digest.notes == ("1 of 37 commits could not be read.",)
    assert {key for point in digest.points for key in point.cites} <= {
        one.key for one in night.source.happened
    }
