"""What code says as well as a model: releases, reverts, merges, dependencies, formatting, bots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sparky import mentions, paths, plain, words
from sparky.mentions import Bump
from sparky.model import Activity, Change, Kind, Omission, Origin, Point, Role, Section, Traits

SHOWN = 8
"""How many names a list has before it says how many more there are."""

MERGED = "merge commit; its commits are counted themselves"
MERGED_REQUEST = "merge commit; its pull request is counted itself"


@dataclass(frozen=True, slots=True)
class Ruled:
    """Each activity is in exactly one of: the cites of one point, `rest`, `omitted`."""

    points: tuple[Point, ...]
    rest: tuple[Activity, ...]
    """What is left for the engine, in the order of the input."""
    omitted: tuple[Omission, ...]


@dataclass(slots=True)
class _Desk:
    """The activities that no rule has taken yet, and what the rules made of the others."""

    window: Mapping[str, Activity]
    traits: Mapping[str, Traits]
    left: dict[str, Activity]
    points: list[Point] = field(default_factory=list)
    omitted: list[Omission] = field(default_factory=list)

    def of(self, *changes: Change) -> list[Activity]:
        """What is left of some kinds of change, oldest first."""
        return [one for one in self.left.values() if self.traits[one.key].change in changes]

    def plain(self, *changes: Change) -> list[Activity]:
        """Those among them that a line in a list does justice: they tell something, break nothing."""
        return [
            one
            for one in self.of(*changes)
            if not self.traits[one.key].breaking and not words.is_empty(one.title)
        ]

    def say(
        self,
        text: str,
        section: Section,
        cites: Iterable[Activity],
        *,
        weigh: Callable[[Iterable[float]], float] = max,
    ) -> None:
        """Make a point, as significant as the most significant it cites, and take those away."""
        keys = tuple(one.key for one in cites)
        weight = weigh(self.traits[key].significance for key in keys)
        clean = plain.line(text, most=1500)
        self.points.append(Point(clean, section, keys, Origin.RULE, weight))
        for key in keys:
            del self.left[key]

    def omit(self, activity: Activity, reason: str) -> None:
        self.omitted.append(Omission(activity.key, reason))
        del self.left[activity.key]


def apply(activities: Sequence[Activity], traits: Mapping[str, Traits]) -> Ruled:
    """Say what rules can say. Keys must not repeat, and `traits` must have each of them."""
    window = {one.key: one for one in sorted(activities, key=lambda one: (one.at, one.key))}
    desk = _Desk(window, traits, dict(window))
    for rule in (_reverts, _releases, _merges, _dependencies, _formatting, _bots):
        rule(desk)
    rest = tuple(one for one in activities if one.key in desk.left)
    return Ruled(tuple(desk.points), rest, tuple(desk.omitted))


def _reverts(desk: _Desk) -> None:
    """A revert and what it takes back cancel out. Latest first: a revert may itself be reverted."""
    for activity in reversed(desk.of(Change.REVERT)):
        found = mentions.revert(activity.title, activity.body)
        if activity.key not in desk.left or found is None or not found.whole:
            continue
        if activity.kind is Kind.PULL_REQUEST and activity.state != "merged":
            continue  # so far it is a proposal
        targets = _targets(desk, activity, found)
        title = targets[0].title if targets else found.title
        if not title:
            continue
        again = mentions.revert(title)
        done, undone = (
            ("Reapplied", "Reverted and reapplied") if again else ("Reverted", "Made and reverted")
        )
        text = _short(again.title if again and again.title else title)
        if len(targets) > 1:
            text += f" and {_count(len(targets) - 1, 'more commit')}"
        if targets:
            cites = (*targets, activity)
            desk.say(f"{undone} in this window: {text}", Section.MAINTENANCE, cites, weigh=min)
        else:
            desk.say(f"{done}: {text}", Section.OTHER, (activity,))


def _targets(desk: _Desk, activity: Activity, revert: mentions.Revert) -> tuple[Activity, ...]:
    """What a revert takes back, as far as it is in the window and not taken back already."""
    earlier = [one for one in desk.left.values() if one.at <= activity.at and one is not activity]
    if revert.oids:
        named = [
            one
            for one in earlier
            if one.kind is Kind.COMMIT and any(one.oid.startswith(oid) for oid in revert.oids)
        ]
    else:
        wanted = words.parse(revert.title)
        named = [
            one for one in earlier if one.kind is activity.kind and words.parse(one.title) == wanted
        ]
        named = named if len(named) == 1 else []
    brought = [one for target in named for one in _merged(desk, target)]
    found = {one.key: one for one in (*named, *brought) if one is not activity}
    return tuple(found.values())


def _merged(desk: _Desk, merge: Activity) -> list[Activity]:
    """The commits of the window that a merge brought in and that are still on the desk."""

    def reach(oids: Iterable[str]) -> set[str]:
        found: set[str] = set()
        open_oids = list(oids)
        while open_oids:
            commit = desk.window.get(f"commit:{open_oids.pop()}")
            if commit and commit.key not in found:
                found.add(commit.key)
                open_oids += commit.parents
        return found

    if not merge.is_merge:
        return []
    brought = reach(merge.parents[1:]) - reach(merge.parents[:1])
    return [one for one in desk.left.values() if one.key in brought]


def _releases(desk: _Desk) -> None:
    """A release takes the commits with it that prepared it."""
    tags = [one for one in desk.of(Change.RELEASE) if one.kind is Kind.RELEASE]
    members: dict[str, list[Activity]] = {tag.key: [tag] for tag in tags}
    loose: dict[str, list[Activity]] = {}
    for activity in desk.of(Change.RELEASE):
        version = mentions.release_version(activity.title)
        if activity.kind is Kind.RELEASE or version is None:
            continue
        tag = _tag_of(activity, version, tags)
        (members[tag.key] if tag else loose.setdefault(version, [])).append(activity)
    if len(tags) <= SHOWN // 2:
        for tag in tags:
            desk.say(f"Released {tag.oid}", Section.RELEASES, members[tag.key])
    else:
        names = _listed([tag.oid for tag in reversed(tags)])
        everything = [one for tag in tags for one in members[tag.key]]
        desk.say(f"Released {len(tags)} versions: {names}", Section.RELEASES, everything)
    if loose:
        names = _listed(list(loose))
        desk.say(
            f"Release work on {names}",
            Section.RELEASES,
            [one for group in loose.values() for one in group],
        )


def _tag_of(activity: Activity, version: str, tags: Sequence[Activity]) -> Activity | None:
    """The release that a release commit belongs to: its target, or the same version."""
    number = version.rpartition("@")[2]
    for same in (
        [tag for tag in tags if activity.kind is Kind.COMMIT and tag.target == activity.oid],
        [tag for tag in tags if mentions.tag_version(tag.oid) == version],
        [tag for tag in tags if mentions.tag_version(tag.oid).rpartition("@")[2] == number],
    ):
        if len(same) == 1:
            return same[0]
    return None


def _merges(desk: _Desk) -> None:
    """A merge of what is in the window tells nothing new; a merge of older commits is news."""
    for merge in desk.of(Change.MERGE):
        if all(f"commit:{oid}" in desk.window for oid in merge.parents[1:]):
            desk.omit(merge, MERGED)
        elif any(
            key.startswith(f"{Kind.PULL_REQUEST}:") and key in desk.window
            for key in merge.references
        ):
            desk.omit(merge, MERGED_REQUEST)


def _dependencies(desk: _Desk) -> None:
    updates = desk.plain(Change.DEPENDENCY)
    if not updates:
        return
    # The same step in two folders of a repository is told once.
    steps = dict.fromkeys(step for activity in updates for step in _steps(activity))
    entries: list[Bump] = []
    for step in steps:
        _join(entries, step)
    text = (
        f"{_count(len(entries), 'dependency update')}: {_listed([str(bump) for bump in entries])}"
    )
    desk.say(text, Section.DEPENDENCIES, updates)


def _steps(activity: Activity) -> tuple[Bump, ...]:
    bumps = mentions.bumps(activity.title, activity.body)
    return bumps or (Bump(_short(words.parse(activity.title).text)),)


def _join(entries: list[Bump], step: Bump) -> None:
    """Two steps of one dependency are one: 1.0 → 1.1 and 1.1 → 1.2 are 1.0 → 1.2."""
    for index, known in enumerate(entries):
        follows = known.name == step.name and known.new and step.old
        if follows and known.new.lstrip("v") == step.old.lstrip("v"):
            entries[index] = replace(known, new=step.new)
            return
    entries.append(step)


def _formatting(desk: _Desk) -> None:
    changes = desk.plain(Change.FORMATTING)
    if not changes:
        return
    places = Counter(
        place
        for one in changes
        for place in sorted({paths.directory([file.path]) or file.path for file in one.files})
    )
    where = (
        f" in {_listed([place for place, _ in places.most_common()], shown=3)}" if places else ""
    )
    text = f"{_count(len(changes), 'formatting or spelling change')}{where}"
    desk.say(text, Section.MAINTENANCE, changes)


def _bots(desk: _Desk) -> None:
    """What machines do by themselves; a feature or a fix by one is news like any other."""
    done: dict[str, list[Activity]] = {}
    for one in desk.plain(Change.OTHER, Change.BUILD, Change.DOCUMENTATION):
        authors = [
            credit.person for credit in one.credits if credit.role in (Role.AUTHOR, Role.CO_AUTHOR)
        ]
        if authors and one.kind is not Kind.ISSUE and all(author.bot for author in authors):
            done.setdefault(authors[0].name, []).append(one)
    for name, changes in done.items():
        titles = dict.fromkeys(_short(words.parse(one.title).text) for one in changes)
        text = f"{_count(len(changes), 'automatic change')} by {name}: {_listed(list(titles), shown=3)}"
        desk.say(text, Section.MAINTENANCE, changes)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(names: Sequence[str], *, shown: int = SHOWN) -> str:
    """Names with commas; a long list is shortened and says by how much."""
    if len(names) <= shown + 1:
        return ", ".join(names)
    return f"{', '.join(names[:shown])} and {len(names) - shown} more"


def _short(title: str) -> str:
    return plain.line(title, most=100)
