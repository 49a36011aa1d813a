"""What kind of change an activity is: derived from its words, labels and paths, by no model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sparky import mentions, paths, vocabulary, words
from sparky.model import Activity, Change, Kind, Role
from sparky.paths import Sort

Verdict = tuple[Change, str]
"""The kind of change, and why, in a few words."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """An activity with what the questions below need of it."""

    activity: Activity
    subject: words.Subject
    weight: Counter[Sort]
    """Lines changed in files of each sort, plus one a file."""

    @property
    def text(self) -> str:
        return self.subject.text

    @property
    def is_chore(self) -> bool:
        """Whether the prefix says that it is none of the known kinds."""
        return self.subject.change is Change.OTHER

    def has(self, *sorts: Sort) -> bool:
        """Whether a file of these sorts is touched, or no files are known."""
        return not self.weight or any(sort in self.weight for sort in sorts)

    def only(self, *sorts: Sort) -> bool:
        return bool(self.weight) and all(sort in sorts for sort in self.weight)

    def mostly(self, *sorts: Sort) -> bool:
        """Whether two thirds of the changed lines are of these sorts, or no files are known."""
        return 3 * sum(self.weight[sort] for sort in sorts) >= 2 * self.weight.total()


def change(activity: Activity) -> Verdict:
    """The kind of change and why; the first question that has an answer decides."""
    weight: Counter[Sort] = Counter()
    for file in activity.files:
        weight[paths.sort(file.path)] += 1 + paths.lines(file)
    seen = _Seen(activity, words.parse(activity.title), weight)
    for question in _QUESTIONS:
        if verdict := question(seen):
            return verdict
    return Change.OTHER, "nothing says what kind of change it is"


def _kind(seen: _Seen) -> Verdict | None:
    if seen.activity.kind is Kind.RELEASE:
        return Change.RELEASE, "a tag or release"
    if seen.activity.is_merge:
        return Change.MERGE, "two or more parents"
    return None


def _security(seen: _Seen) -> Verdict | None:
    said = (seen.subject.change, *_labels(seen.activity.labels).values())
    if Change.SECURITY in said:
        return Change.SECURITY, "label or prefix for security"
    found = vocabulary.SECURITY.search(seen.text)
    found = found or vocabulary.PRIVATE_FORK.match(seen.activity.title)
    harmless = seen.only(Sort.DOCUMENTATION, Sort.CHANGELOG, Sort.TESTS, Sort.BUILD)
    return _says(Change.SECURITY, found) if found and not harmless else None


def _issue(seen: _Seen) -> Verdict | None:
    is_issue = seen.activity.kind is Kind.ISSUE
    return (Change.OTHER, "an issue changes nothing itself") if is_issue else None


def _revert(seen: _Seen) -> Verdict | None:
    found = mentions.revert(seen.activity.title, seen.activity.body)
    return (Change.REVERT, "its text says that it takes back a commit") if found else None


def _release(seen: _Seen) -> Verdict | None:
    if seen.subject.change not in _NEUTRAL or seen.only(Sort.LOCK):
        return None
    if version := mentions.release_version(seen.activity.title):
        # "Python 3.13" may also be a feature: a release touches a version or a changelog.
        kept = seen.has(Sort.CHANGELOG, Sort.BUILD, Sort.LOCK, Sort.DOCUMENTATION)
        if kept or "@" not in version:
            return Change.RELEASE, f"its title is about version {version}"
    if Sort.CHANGELOG in seen.weight:
        folders = {part for file in seen.activity.files for part in file.path.split("/")}
        own = any(bump.name in folders for bump in mentions.bumps(seen.activity.title))
        if own or vocabulary.BUMPED.search(seen.text):
            return Change.RELEASE, "new versions of packages that stand in this repository"
    if seen.only(Sort.CHANGELOG) and vocabulary.CANDIDATE_NOTES.search(seen.text):
        return Change.RELEASE, "release notes of the next version"
    return None


# Prefixes that a release commit may have; `fix!: bump the minimal version to 5.16` is none.
_NEUTRAL = (None, Change.OTHER, Change.RELEASE, Change.BUILD, Change.DOCUMENTATION)


def _dependency(seen: _Seen) -> Verdict | None:
    said = (seen.subject.change, *_prefixes(seen), *_labels(seen.activity.labels).values())
    bumps = mentions.bumps(seen.activity.title, seen.activity.body)
    outside = seen.only(Sort.CODE, Sort.DOCUMENTATION, Sort.CHANGELOG, Sort.TESTS)
    if Change.DEPENDENCY in said and (bumps or not outside):
        return Change.DEPENDENCY, "label or prefix for dependencies"
    if outside:
        return None
    if bumps:
        return Change.DEPENDENCY, f"it names a new version of {bumps[0].name}"
    authors = [credit.person.name for credit in seen.activity.credits if credit.role is Role.AUTHOR]
    if found := next(filter(None, map(vocabulary.UPDATERS.search, authors)), None):
        return Change.DEPENDENCY, f"by {found.group()}"
    if found := vocabulary.DEPENDENCIES.search(seen.text):
        return _says(Change.DEPENDENCY, found)
    if seen.only(Sort.BUILD, Sort.LOCK) and seen.mostly(Sort.LOCK):
        return Change.DEPENDENCY, "lock files, requirements or vendored code"
    return None


def _formatting(seen: _Seen) -> Verdict | None:
    found = vocabulary.FORMATTING.search(seen.text)
    return _says(Change.FORMATTING, found) if found else None


def _prefix(seen: _Seen) -> Verdict | None:
    prefixes = _prefixes(seen)
    for topic in (Change.DOCUMENTATION, Change.TESTS, Change.BUILD):
        if topic in prefixes:  # also as a scope: `fix(ci): …` mends no product
            return topic, f"prefix {prefixes[topic]!r}"
    said = seen.subject.change
    if said in (None, Change.OTHER, Change.REVERT, Change.RELEASE):
        return None
    if said in (Change.FEATURE, Change.FIX) and (found := _paths(seen)):
        return found  # `fix: …` in a guide mends the guide
    return said, f"prefix or sign for {said}"


def _prefixes(seen: _Seen) -> dict[Change, str]:
    return {vocabulary.TYPES[area]: area for area in seen.subject.areas if area in vocabulary.TYPES}


def _label(seen: _Seen) -> Verdict | None:
    known = _labels(seen.activity.labels)
    return next(((change, f"label {label!r}") for label, change in known.items()), None)


def _labels(labels: Iterable[str]) -> dict[str, Change]:
    """The labels that say a kind, the most telling kind first."""
    named = {
        vocabulary.LABEL_PREFIX.sub("", label.casefold()).replace(" ", "-") for label in labels
    }
    return {label: change for label, change in vocabulary.LABELS.items() if label in named}


def _paths(seen: _Seen) -> Verdict | None:
    """Where all files are of one sort, the words need not be asked."""
    if seen.only(Sort.DOCUMENTATION, Sort.CHANGELOG):
        return Change.DOCUMENTATION, "only documentation"
    if seen.only(Sort.TESTS):
        return Change.TESTS, "only tests"
    if seen.only(Sort.BUILD, Sort.LOCK):
        return Change.BUILD, "only build and configuration files"
    return None


def _topic(seen: _Seen) -> Verdict | None:
    """What the title is about, where the files do not gainsay it."""
    if words.is_empty(seen.activity.title):
        return None
    found = vocabulary.DOCUMENTING.search(seen.text)
    if not found and seen.has(Sort.DOCUMENTATION):
        found = vocabulary.DOCUMENTATION.search(seen.text)
    if found:
        return _says(Change.DOCUMENTATION, found)
    if (found := vocabulary.TESTS.search(seen.text)) and seen.mostly(Sort.TESTS, Sort.BUILD):
        return _says(Change.TESTS, found)
    if (found := vocabulary.BUILD.search(seen.text)) and (
        seen.mostly(Sort.BUILD, Sort.LOCK, Sort.TESTS, Sort.DOCUMENTATION)
    ):
        return _says(Change.BUILD, found)
    if not seen.has(Sort.CODE):
        heaviest = seen.weight.most_common(1)[0][0]
        return _HEAVIEST[heaviest], f"no code, mostly {heaviest}"
    return None


_HEAVIEST = {
    Sort.LOCK: Change.BUILD,
    Sort.BUILD: Change.BUILD,
    Sort.TESTS: Change.TESTS,
    Sort.DOCUMENTATION: Change.DOCUMENTATION,
    Sort.CHANGELOG: Change.DOCUMENTATION,
}


def _performance(seen: _Seen) -> Verdict | None:
    """Before the verb: `avoid a copy` and `add a cache to speed it up` are about speed."""
    found = vocabulary.PERFORMANCE.search(seen.text)
    return _says(Change.PERFORMANCE, found) if found else None


def _verb(seen: _Seen) -> Verdict | None:
    if found := vocabulary.HYGIENE.search(seen.text):
        return _says(Change.REFACTORING, found)
    if found := vocabulary.REMOVAL.search(seen.text):
        return Change.OTHER, f"it takes away what may be in use: {found.group()!r}"
    said = words.verb(seen.text)
    if said is None or (seen.is_chore and said is not Change.REFACTORING):
        return None
    return said, f"its title begins with {seen.text.split()[0]!r}"


def _signs(seen: _Seen) -> Verdict | None:
    if seen.is_chore:
        return None
    found = ((change, pattern.search(seen.text)) for change, pattern in vocabulary.SIGNS)
    return next((_says(change, match) for change, match in found if match), None)


def _body(seen: _Seen) -> Verdict | None:
    """The first paragraph of the body, where the title says nothing."""
    first = seen.activity.body.strip().partition("\n\n")[0]
    for change, pattern in (
        (Change.FIX, vocabulary.FIXES),
        (Change.PERFORMANCE, vocabulary.PERFORMANCE),
        vocabulary.SIGNS[0],
    ):
        if match := pattern.search(first):
            return change, f"its body says {match.group()!r}"
    return None


def _shape(seen: _Seen) -> Verdict | None:
    """What the numbers suggest where no word says anything: code that is nearly all new."""
    code = [file for file in seen.activity.files if paths.sort(file.path) is Sort.CODE]
    added = sum(file.additions or 0 for file in code)
    deleted = sum(file.deletions or 0 for file in code)
    if seen.is_chore or added < 30 or added < 4 * deleted:
        return None
    return Change.FEATURE, f"it adds {added} lines of code and takes {deleted} away"


def _says(change: Change, match: re.Match[str]) -> Verdict:
    return change, f"its title says {match.group()!r}"


_QUESTIONS: tuple[Callable[[_Seen], Verdict | None], ...] = (
    _kind,
    _security,
    _issue,
    _revert,
    _release,
    _dependency,
    _formatting,
    _prefix,
    _label,
    _paths,
    _topic,
    _performance,
    _verb,
    _signs,
    _body,
    _shape,
)
