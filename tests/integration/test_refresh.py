"""What was summarised once is asked for again on request alone: with an engine that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from sparky import summaries
from sparky.farm.bodies import BODIES
from sparky.farm.context import Context, of
from sparky.farm.step import perform
from sparky.model import Activity, Digest, Kind, Repo, Window
from sparky.ports import Census
from sparky.settings import Settings
from sparky.store.runs import Runs
from tests import factories
from tests.fakes import FakeBackend
from tests.servers import Servers

REPO = Repo("git:kept", "me/kept", "git", "/srv/kept")
WINDOW = factories.window()
WORDS = "parser cache queue worker client index stream header socket record plugin".split()


class Happened:
    """A source that shows what a test says."""

    def __init__(self, activities: Sequence[Activity]) -> None:
        self.happened = list(activities)

    def identify(self, location: str) -> Repo:
        return REPO

    def refresh(self, repo: Repo) -> None: ...

    def census(self, repo: Repo, window: Window) -> Census:
        return Census({Kind.COMMIT: len(self.happened)})

    def activities(self, repo: Repo, window: Window) -> Iterator[Activity]:
        yield from self.happened


class Talkative(FakeBackend):
    """An engine whose tokens are shorter, so that less fits into a chunk."""

    def count(self, text: str) -> int:
        return 3 * super().count(text)


def commit(n: int) -> Activity:
    about = WORDS[n % len(WORDS)]
    return factories.commit(
        n,
        title=f"Add a limit to the {about} of part {n}",
        body=" ".join(f"Those who use {word} asked for it." for word in WORDS),
        at=WINDOW.since + timedelta(hours=n + 1),
        references=(),
        files=(),
        files_total=0,
    )


@dataclass
class Nights:
    """Runs over one window, each with an engine that counts what it is asked."""

    context: Context
    source: Happened

    def run(self, backend: FakeBackend, **options: object) -> tuple[int, Digest]:
        """How often the engine was asked, and what came out."""
        at = replace(self.context, backend=backend, source=self.source)
        name = uuid4().hex
        bells = list(
            Runs(at.store.engine, farm=at.settings.farm).start(name, WINDOW, [REPO.id], options)
        )
        while bells:
            bell = bells.pop(0)
            (done,) = perform(bell.step_id, BODIES[bell.stage], at, worker="w")
            assert done.word == "done"
            bells += done.bells
        digest = at.store.digest(REPO.id, WINDOW)
        assert digest is not None
        return len(backend.prompts), digest


@pytest.fixture
def nights(servers: Servers, database: str, tmp_path: Path) -> Iterator[Nights]:
    settings = Settings(
        state_dir=tmp_path / "state",
        cache_dir=tmp_path / "cache",
        database_url=database,  # type: ignore[arg-type]
        broker_url=servers.broker_url,  # type: ignore[arg-type]
        farm=f"r{uuid4().hex[:24]}",
    )
    context = of(settings)
    context.store.add_repo(REPO)
    yield Nights(context, Happened([commit(n) for n in range(40)]))
    context.store.close()


def test_the_same_window_again_asks_nothing(nights: Nights) -> None:
    """The first night asks; the second finds all."""
    asked, first = nights.run(FakeBackend(context=8192))
    assert asked > 2
    assert nights.run(FakeBackend(context=8192)) == (0, first)


@pytest.mark.parametrize(
    "other",
    [
        lambda: FakeBackend(model="fake-2", serves="fake-2", context=8192),
        lambda: FakeBackend(context=6000),
        lambda: Talkative(model="fake-3", serves="fake-3", context=16384),
    ],
    ids=["another model", "a shorter context", "another tokenizer"],
)
def test_another_engine_asks_nothing_of_what_is_summarised(
    nights: Nights, other: Callable[[], FakeBackend]
) -> None:
    """Who changes the model pays for what happens from then on, and for no old window."""
    _, first = nights.run(FakeBackend(context=8192))
    assert nights.run(other()) == (0, first)


def test_a_newer_prompt_asks_nothing_of_what_is_summarised(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade of Sparky does not summarise the past again."""
    _, first = nights.run(FakeBackend(context=8192))
    monkeypatch.setattr(summaries, "PROMPT_VERSION", "9.9.9.9")
    assert nights.run(FakeBackend(context=8192)) == (0, first)


def test_a_late_commit_asks_for_itself_alone(nights: Nights) -> None:
    """With another model too: the old chunks stay, the new commit and the headline are asked for."""
    whole, _ = nights.run(FakeBackend(context=8192))
    nights.source.happened.append(commit(41))
    late = FakeBackend(model="fake-2", serves="fake-2", context=8192)
    asked, digest = nights.run(late)
    about = [prompt for prompt in late.prompts if "The activities stand" in prompt.user]
    assert 0 < asked < whole
    assert about
    assert all("part 41" in prompt.user for prompt in about)
    assert all("part 7 " not in prompt.user and "part 7\n" not in prompt.user for prompt in about)
    assert digest.ledger[0].expected == 41


def test_an_edited_commit_has_its_chunk_asked_for_again(nights: Nights) -> None:
    """What a chunk says must be what happened."""
    nights.run(FakeBackend(context=8192))
    nights.source.happened[3] = replace(
        nights.source.happened[3], title="Remove the limit of part 3"
    )
    again = FakeBackend(context=8192)
    nights.run(again)
    assert any("Remove the limit of part 3" in prompt.user for prompt in again.prompts)


def test_on_request_everything_is_asked_for_again(nights: Nights) -> None:
    """`--refresh` asks as often as the first time did; without it, nothing is asked after it."""
    asked, _ = nights.run(FakeBackend(context=8192))
    other = FakeBackend(model="fake-2", serves="fake-2", context=8192)
    assert nights.run(other, refresh=True)[0] == asked
    assert {prompt.user for prompt in other.prompts}
    assert nights.run(FakeBackend(context=8192))[0] == 0
