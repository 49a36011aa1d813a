"""Which pull requests and issues a message names."""

from __future__ import annotations

import re
from collections.abc import Iterator

_NUMBER = r"(\d{1,9})(?!\d)"

# What ends a subject on GitHub: `Add a gauge (#12)`, after a cherry-pick `Add a gauge (#12) (#15)`.
_ENDS = re.compile(r"(?:\((?:#|GH-)\d{1,9}\)\s*)+$")
_END = 80
"""Characters looked at of a subject's end: the search tries again from each parenthesis."""
_EACH = re.compile(rf"(?:#|gh-){_NUMBER}", re.IGNORECASE)

# A merge's subject: GitHub, bors, Bitbucket, Azure.
_MERGE = re.compile(
    rf"^(?:Merge (?:pull request |PR )?#|(?:Auto|Rollup) merge of #|Merged PR ){_NUMBER}"
    rf"|^Merged in .*\(pull request #{_NUMBER}\)"
)
# A line of the body: GitLab, Node.js, Gerrit and Gitea, ghstack, Angular.
_LINE = re.compile(
    rf"^[ \t]*(?:See merge request \S*!{_NUMBER}\s*$"
    rf"|(?:PR-URL|Reviewed-on|Pull[ -]Request(?:[ -]URL| resolved)?):\s*https?://\S+?/{_NUMBER}/?\s*$"
    rf"|(?:PR-URL:\s*|PR Close )#{_NUMBER}\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_ISSUE = rf"(?:(?:#|gh-)\d{{1,9}}(?!\d)|https?://[^\s/]+/\S+?/issues/{_NUMBER})"
_CLOSES = re.compile(
    rf"\b(?:fix(?:e[sd])?|close[sd]?|resolve[sd]?)\b:?\s+({_ISSUE}"
    rf"(?:(?:\s*[,&]\s*(?:and\s+)?|\s+and\s+)(?:(?:fixes|closes|resolves)\s+)?{_ISSUE})*)",
    re.IGNORECASE,
)
_CLOSED = re.compile(rf"(?:#|gh-|/issues/){_NUMBER}", re.IGNORECASE)
_ISSUE_FIRST = re.compile(rf"^\[?gh-{_NUMBER}\]?:", re.IGNORECASE)


def references(title: str, body: str) -> tuple[str, ...]:
    """Keys of the pull requests and issues that a message names, without repeats.

    A bare `#12` in running text names nothing: it may be either, or neither.
    """
    pulls = dict.fromkeys(f"pull_request:{int(number)}" for number in _pulls(title, body))
    issues = dict.fromkeys(f"issue:{int(number)}" for number in _issues(title, body))
    known = {key.partition(":")[2] for key in pulls}
    return (*pulls, *(key for key in issues if key.partition(":")[2] not in known))


def _pulls(title: str, body: str) -> Iterator[str]:
    if match := _MERGE.match(title):
        yield match[1] or match[2]
    if match := _ENDS.search(title[-_END:]):
        yield from _EACH.findall(match[0])
    for match in _LINE.finditer(body):
        yield next(filter(None, match.groups()))


def _issues(title: str, body: str) -> Iterator[str]:
    if match := _ISSUE_FIRST.match(title):
        yield match[1]
    for text in (title, body):
        for match in _CLOSES.finditer(text):
            yield from _CLOSED.findall(match[1])
