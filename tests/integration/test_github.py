"""The GitHub source against the local GitHub: complete, incremental, gentle."""

from __future__ import annotations

import logging
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bench.history import write_history
from sparky import chunks
from sparky.errors import SparkyError, Throttled, Transient
from sparky.model import Activity, Kind, Role, Window
from sparky.ports import Census
from sparky.source.credentials import App, Holder
from sparky.source.githubwire import Wire
from sparky.store.gateway import Gateway
from sparky.store.runs import Runs
from sparky.store.tables import metadata
from tests.github import Fault, Limits, Server, What, World
from tests.github.clock import START
from tests.github.fixture import Serving, serving
from tests.github.repository import Repository
from tests.integration.github_world import (
    Reader,
    busy,
    fetch,
    keys,
    night,
    reading,
    repo_of,
    true_keys,
)

__all__ = ["serving"]


@pytest.fixture
def world() -> World:
    return World(seed=4, repositories=40)


@pytest.fixture
def github(world: World, serving: Serving) -> Server:
    return serving(world)


def test_faults_lose_and_double_nothing_in_300_repositories(
    serving: Serving, database: str
) -> None:
    """Timeouts, resets, garbage and lost nodes at a tenth of all requests; and some repositories
    where GitHub fails on an item for good, which alone are partial."""
    world = World(seed=3, repositories=300)
    github = serving(world)
    window = night(world, 30)
    broken: dict[str, str] = {}
    for repository in world:
        truth = world.truth(repository.id, window.since, window.until)
        if repository.number % 10 == 0 and truth.pull_requests:
            number = max(truth.pull_requests)
            repository.broken.add(f"pull_request:{number}")
            broken[repository.id] = f"pull_request:{number}"
    whats = (What.BAD_GATEWAY, What.TIMEOUT, What.RESET, What.TRUNCATE, What.GARBAGE, What.PARTIAL)
    for what in whats:
        github.faults.add(Fault(what=what, times=None, rate=0.02))
    with reading(github, database) as reader:
        for repository in world:
            census, found = insistent(reader, repository, window)
            expected = set(true_keys(repository, window)) - {broken.get(repository.id, "")}
            assert sorted(a.key for a in found) == sorted(expected), repository.full_name
            assert sum(census.expected.values()) == len(found)
            assert bool(census.gaps) == (repository.id in broken), repository.full_name
    assert broken
    assert all(fault.hits for fault in github.faults.script)


def insistent(
    reader: Reader, repository: Repository, window: Window
) -> tuple[Census, list[Activity]]:
    """As the farm tries: some more times where it may help."""
    for _ in range(6):
        try:
            census, found = fetch(reader, repository, window)
        except Transient:
            continue
        if census.gaps and not repository.broken:
            continue  # the next night
        return census, found
    raise AssertionError(f"{repository.full_name} could not be read")


def test_what_has_not_changed_is_not_asked_for_again(
    world: World, github: Server, database: str
) -> None:
    """The second fetch makes no request while the probe is fresh, and none that counts later."""
    window, repository = night(world), busy(world)
    with reading(github, database) as reader:
        first = keys(reader, repository, window)
        github.accounting.reset()
        assert keys(reader, repository, window) == first
        assert github.accounting.log == []
        world.clock.advance(hours=24)
        assert keys(reader, repository, window) == first
    assert github.accounting.points() == 0


def test_an_earlier_window_fetches_only_what_lies_before(
    world: World, github: Server, database: str
) -> None:
    """Every commit comes once, although the second window contains the first."""
    repository = busy(world)
    with reading(github, database) as reader:
        seen: list[str] = []
        keep = reader.mirror.keep

        def watched(*args: object, **kwargs: object) -> None:
            seen.extend(i.activity.key for i in args[2]) if len(args) > 2 else None  # type: ignore[attr-defined]
            keep(*args, **kwargs)  # type: ignore[arg-type]

        reader.mirror.keep = watched  # type: ignore[method-assign]
        for days in (20, 400):
            window = night(world, days)
            assert keys(reader, repository, window) == true_keys(repository, window)
        commits = [key for key in seen if key.startswith("commit:")]
    assert len(commits) == len(set(commits)) > 0


def test_late_events_and_edits_of_old_items_are_found(
    world: World, github: Server, database: str
) -> None:
    repository, window = busy(world), night(world)
    pulls = repository.history.pulls.values()
    old = next(p for p in pulls if p.closed_at is None and p.created_at < window.since)
    closed = next(p for p in pulls if p.closed_at and window.since < p.closed_at)
    with reading(github, database) as reader:
        keys(reader, repository, window)
        world.clock.advance(hours=24)
        world.late_close(repository, old.number)
        world.edit_pull_request(repository, closed.number, title="Another title")
        later = night(world, 61)
        _, found = fetch(reader, repository, later)
        assert sorted(a.key for a in found) == true_keys(repository, later)
        titles = {a.key: a.title for a in found}
    assert titles[f"pull_request:{closed.number}"] == "Another title"
    assert f"pull_request:{old.number}" in titles


def test_a_past_window_stays_what_it_was_when_a_pull_request_is_merged_after_it(
    world: World, github: Server, database: str
) -> None:
    repository = busy(world)
    pull = world.open_pull_request(repository, "Add a gauge")
    past = night(world, 1)
    with reading(github, database) as reader:
        before = fetch(reader, repository, past)[1]
        world.clock.advance(hours=30)
        world.merge(repository, pull.number)
        assert fetch(reader, repository, past)[1] == before
        now = Window(past.until, world.clock.now() + timedelta(seconds=1))
        found = {a.key: a for a in fetch(reader, repository, now)[1]}
    assert found[f"pull_request:{pull.number}"].state == "merged"
    assert {a.state for a in before if a.key == f"pull_request:{pull.number}"} == {"opened"}


def test_commits_with_old_dates_and_rewritten_history_are_found(
    world: World, github: Server, database: str
) -> None:
    """A branch with commits of last week is merged today; then history is written anew."""
    repository, window = busy(world), night(world)
    with reading(github, database) as reader:
        keys(reader, repository, window)
        world.clock.advance(days=7)
        for commit in world.push(repository, 3)[:2]:
            object.__setattr__(commit.committer, "date", commit.at - timedelta(days=12))
        later = night(world, 67)
        assert keys(reader, repository, later) == true_keys(repository, later)
        world.clock.advance(days=1)
        world.force_push(repository, drop=5)
        assert keys(reader, repository, later) != []
        last = night(world, 68)
        assert keys(reader, repository, last) == true_keys(repository, last)


def test_a_rename_changes_nothing_but_the_name(world: World, github: Server, database: str) -> None:
    repository, window = busy(world), night(world)
    with reading(github, database) as reader:
        repo = reader.source.identify(repository.full_name)
        first = keys(reader, repository, window)
        world.rename(repository, "another-name")
        world.clock.advance(hours=24)
        reader.source.refresh(repo)
        assert sorted(a.key for a in reader.source.activities(repo, window)) == first
        assert reader.source.identify(repo.name).id == repo.id
        probe = reader.mirror.probe(repo.id)
    assert probe is not None
    assert probe.name == repository.full_name


def test_lists_inside_items_are_read_to_their_end(serving: Serving, database: str) -> None:
    """A pull request with 130 reviews, 105 labels and more keeps all of them."""
    world = World(seed=2, repositories=1, commits=900)
    (repository,) = world
    pulls = repository.history.pulls
    crowded = max(pulls.values(), key=lambda pull: len(pull.labels))
    window = night(world, 4000)
    with reading(serving(world), database) as reader:
        found = {a.key: a for a in fetch(reader, repository, window)[1]}
    activity = found[f"pull_request:{crowded.number}"]
    reviewers = {r.author.login for r in crowded.reviews if r.author}
    author = crowded.author.login if crowded.author else "ghost"
    assert sorted(activity.labels) == sorted(label.name for label in crowded.labels)
    assert {c.person.login for c in activity.credits if c.role is Role.REVIEWER} == (
        reviewers - {author}
    )


def test_commits_and_their_pull_request_become_one_subject(
    world: World, github: Server, database: str
) -> None:
    repository, window = busy(world), night(world)
    with reading(github, database) as reader:
        found = {a.key: a for a in fetch(reader, repository, window)[1]}
    history = repository.history
    linked = 0
    for commit in history.commits:
        activity = found.get(f"commit:{commit.oid}")
        if activity and commit.pull_request:
            linked += 1
            assert f"pull_request:{commit.pull_request}" in activity.references
    bots = {c.person.login for a in found.values() for c in a.credits if c.person.bot}
    assert linked
    assert bots <= {"dependabot[bot]", "renovate[bot]", "github-actions[bot]"}
    assert bots


def test_a_squash_merge_keeps_its_people_and_is_one_subject_with_its_pull_request(
    world: World, github: Server, database: str
) -> None:
    """Author, co-author, reviewer and merger are all named, each where they acted."""
    repository = busy(world)
    author, reviewer, merger, other = world.people[:4]
    pull = world.open_pull_request(repository, "Add a gauge", author)
    world.edit_pull_request(
        repository, pull.number, body=f"Co-authored-by: {other.name} <{other.email}>"
    )
    world.review(repository, pull.number, reviewer)
    world.clock.advance(hours=1)
    world.merge(repository, pull.number, by=merger)
    window = night(world, 1)
    with reading(github, database) as reader:
        found = {a.key: a for a in fetch(reader, repository, window)[1]}
    merged = found[f"pull_request:{pull.number}"]
    squashed = found[f"commit:{pull.merge_commit}"]
    assert [(c.role, c.person.login) for c in merged.credits] == [
        (Role.AUTHOR, author.login),
        (Role.REVIEWER, reviewer.login),
        (Role.MERGER, merger.login),
    ]
    assert {(c.role, c.person.name) for c in squashed.credits} >= {
        (Role.AUTHOR, author.name),
        (Role.CO_AUTHOR, other.name),
    }
    assert chunks.subject(squashed) == chunks.subject(merged) == merged.key


def test_pages_shrink_until_github_bears_them_and_grow_again(
    world: World, github: Server, database: str
) -> None:
    repository, window = busy(world), night(world)
    fault = Fault(what=What.BAD_GATEWAY, above=24, times=None, match={"name": "Activity"})
    github.faults.add(fault)
    with reading(github, database) as reader:
        assert keys(reader, repository, window) == true_keys(repository, window)
        sizes = [mark.page for mark in reader.mirror.marks(repository.id).values()]
        assert all(size is not None and size < 48 for size in sizes)
        hits = fault.hits
        world.clock.advance(hours=24)
        world.push(repository)
        keys(reader, repository, night(world, 61))
        assert fault.hits - hits <= 2
        github.faults.clear()
        for _ in range(9):
            world.clock.advance(hours=1)
            world.push(repository)
            keys(reader, repository, night(world, 61))
        assert reader.mirror.marks(repository.id)[Kind.COMMIT].page is None


def test_what_may_not_be_read_makes_the_rest_partial_with_the_reason(
    world: World, github: Server, database: str
) -> None:
    repository, window = busy(world), night(world)
    repository.forbidden.add("issues")
    with reading(github, database) as reader:
        census, found = fetch(reader, repository, window)
    kept = [key for key in true_keys(repository, window) if not key.startswith("issue:")]
    assert sorted(a.key for a in found) == kept
    assert census.gaps == (
        "No issues could be read: Resource not accessible by personal access token",
    )


def test_no_request_goes_past_the_reserve_and_all_is_done_after_the_reset(
    world: World, serving: Serving, database: str
) -> None:
    """Two tokens with few points left; the human keeps a fifth of each, at every moment."""
    github = serving(world)
    window = night(world, 30)
    todo = list(world)
    waits = 0
    with reading(github, database, tokens=2) as reader:
        values = list(github.credentials.tokens)
        for value in values:
            github.drain(value, remaining=1010)
        while todo:
            try:
                found = keys(reader, todo[0], window)
            except Throttled as error:
                waits += 1
                world.clock.advance(seconds=(error.until - world.clock.now()).total_seconds())
                continue
            assert found == true_keys(todo.pop(0), window)
            for value in values:
                token = github.credentials.check(value)
                standing = github.standing(token, "graphql")
                assert standing is not None
                assert standing.remaining >= 1000
    assert waits == 1


@pytest.mark.parametrize(("status", "retry_after"), [(403, 30), (429, 30), (200, 30), (403, None)])
def test_a_secondary_limit_is_waited_for_as_long_as_github_says(
    world: World, github: Server, database: str, status: int, retry_after: int | None
) -> None:
    github.faults.add(
        Fault(
            what=What.SECONDARY_LIMIT,
            status=status,
            retry_after=retry_after,
            match={"resource": "graphql"},
        )
    )
    repository = busy(world)
    with reading(github, database) as reader:
        with pytest.raises(Throttled) as caught:
            fetch(reader, repository, night(world))
        pause = (caught.value.until - world.clock.now()).total_seconds()
        assert pause == (retry_after or 60)
        asked = len(github.accounting.log)
        with pytest.raises(Throttled):
            fetch(reader, repository, night(world))
        assert len(github.accounting.log) == asked, "nothing is sent while it is to wait"
        world.clock.advance(seconds=pause)
        assert keys(reader, repository, night(world)) == true_keys(repository, night(world))


def test_another_credential_takes_over_from_one_that_is_refused(
    world: World, github: Server, database: str
) -> None:
    repository, window = busy(world), night(world)
    with reading(github, database, tokens=2) as reader:
        keys(reader, repository, window)
        first = next(iter(github.credentials.tokens.values()))
        github.credentials.revoke(first)
        world.clock.advance(hours=24)
        world.push(repository)
        later = night(world, 61)
        assert keys(reader, repository, later) == true_keys(repository, later)


def test_a_server_without_limits_is_never_waited_for(
    world: World, serving: Serving, database: str
) -> None:
    """A GitHub Enterprise Server answers 404 for limits and null for rateLimit."""
    github = serving(world, enterprise=True, limits=Limits.off())
    with reading(github, database) as reader:
        window, repository = night(world), busy(world)
        assert keys(reader, repository, window) == true_keys(repository, window)
        assert {one.limit for one in reader.budget.standings()} == {None}


def test_a_missing_repository_says_so(world: World, github: Server, database: str) -> None:
    repository = busy(world)
    with reading(github, database) as reader:
        with pytest.raises(SparkyError, match=r"org-0/nothing is not on github\.com"):
            reader.source.identify("org-0/nothing")
        keys(reader, repository, night(world))
        world.delete(repository)
        world.clock.advance(hours=24)
        with pytest.raises(SparkyError, match="is not there any more"):
            fetch(reader, repository, night(world))


def test_a_probe_takes_all_that_wait_with_it(serving: Serving, database: str) -> None:
    """A quiet night over 200 repositories costs three points: 74 repositories in each probe."""
    world = World(seed=5, repositories=200, private=0)
    github, repos = serving(world), [repo_of(one) for one in world]
    window = night(world, 2)
    store = Gateway.open(database)
    for repo in repos:
        store.add_repo(repo)
    with reading(github, database) as reader:
        for repo in repos:
            reader.source.census(repo, window)
        world.clock.advance(hours=24)
        github.accounting.reset()
        quiet = Window(window.until, world.clock.now())
        Runs(store.engine, farm="test").start("quiet", quiet, [r.id for r in repos], {})
        for repo in repos:
            reader.source.refresh(repo)
            assert sum(reader.source.census(repo, quiet).expected.values()) == 0
    store.close()
    assert github.accounting.points() == 3
    assert {one.name for one in github.accounting.log} == {"Probe"}


def test_no_secret_is_written_anywhere(
    world: World, github: Server, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Tokens, the App's key and its assertions are in no row, log, error or `repr`."""
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    with reading(github, database, tokens=2) as reader:
        for what in (What.UNAUTHORIZED, What.GARBAGE, What.RESET, What.BAD_GATEWAY):
            github.faults.add(Fault(what=what, times=2))
            try:
                fetch(reader, busy(world), night(world))
            except SparkyError as error:
                said += [str(error), repr(error), "".join(traceback.format_exception(error))]
            world.clock.advance(hours=2)
        said += [repr(reader.wire), repr(reader.wire.keyring), repr(reader.budget.standings())]
        said += [repr(reader.wire.keyring.everybody()), caplog.text]
        engine = reader.mirror.engine
        with engine.connect() as connection:
            for table in metadata.sorted_tables:
                said += [repr(row) for row in connection.execute(table.select())]
    everything = "\n".join(said)
    assert "org-0" in everything
    for token in github.credentials.tokens:
        assert token not in everything
        assert token[:20] not in everything
    assert "Bearer" not in everything


def test_an_app_reads_what_it_is_installed_on_and_renews_its_token(
    world: World, github: Server, database: str
) -> None:
    repository = next(r for r in world if r.owner.typename == "Organization" and r.private)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    registered = github.credentials.app(public.decode())
    github.credentials.install(registered, repository.owner)

    def holders(wire: Wire) -> list[Holder]:
        clock = world.clock.now
        app = App(str(registered.id), pem, clock=clock, post=wire.post, get=wire.get)
        return list(app.installations([repository.owner.login]))

    window = night(world, 3000)
    with reading(github, database, holders=holders) as reader:
        assert keys(reader, repository, window) == true_keys(repository, window)
        world.clock.advance(hours=2)  # the first token has ended by now
        world.push(repository)
        later = night(world, 3001)
        assert keys(reader, repository, later) == true_keys(repository, later)
        (standing,) = [s for s in reader.budget.standings() if s.resource == "graphql"]
    assert standing.label == f"App {registered.id} on {repository.owner.login}"
    assert standing.limit is not None
    assert standing.limit >= 5000


def test_a_key_that_is_none_says_so() -> None:
    app = App("1", "no key", clock=lambda: START, post=lambda *_: {}, get=lambda *_: [])
    with pytest.raises(SparkyError, match="private key of the GitHub App cannot be read") as caught:
        app.assertion()
    assert "no key" not in str(caught.value)


def real(folder: Path, commits: int = 60) -> Path:
    """A repository on disk with some history."""
    path = folder / "engine.git"
    write_history(path, commits)
    return path


def test_commits_come_by_git_where_github_denies_them(
    serving: Serving, database: str, tmp_path: Path
) -> None:
    path = real(tmp_path)
    world = World(seed=6, repositories=0, organizations=1, git=[path])
    (repository,) = world
    repository.forbidden |= {"defaultBranchRef"}
    window = Window(START - timedelta(days=4000), START)
    with reading(serving(world), database, git=tmp_path / "cache") as reader:
        census, found = fetch(reader, repository, window)
        assert sorted(a.key for a in found) == true_keys(repository, window)
        assert census.expected[Kind.COMMIT] == len(repository.history.commits)
        assert census.gaps == ()
        assert census.notes[0].startswith("Commits came by git, since GitHub gives none: ")
