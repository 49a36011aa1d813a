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
    # Looking for a mark costs far less than the patterns, and most texts have none.
    in_title, in_body = _has_mark(title), _has_mark(body)
    if not in_title and not in_body:
        return ()
    pulls = dict.fromkeys(map(int, (*_merged(title), *(_named(body) if in_body else ()))))
    closed = (*_ISSUE_FIRST.findall(title), *_closed(title), *(_closed(body) if in_body else ()))
    return (
        *(f"pull_request:{number}" for number in pulls),
        *(f"issue:{n}" for n in dict.fromkeys(map(int, closed)) if n not in pulls),
    )


def _has_mark(text: str) -> bool:
    return (
        "#" in text
        or "://" in text
        or "!" in text
        or "gh-" in text
        or "GH-" in text
        or "Merged PR" in text
    )


def _merged(title: str) -> Iterator[str]:
    """Pull requests in a subject."""
    if match := _MERGE.match(title):
        yield match[1] or match[2]
    if title.endswith(")") and (match := _ENDS.search(title[-_END:])):
        yield from _EACH.findall(match[0])


def _named(body: str) -> Iterator[str]:
    """Pull requests in lines of their own."""
    for match in _LINE.finditer(body):
        yield next(filter(None, match.groups()))


def _closed(text: str) -> Iterator[str]:
    """Issues that are said to be closed."""
    for match in _CLOSES.finditer(text):
        yield from _CLOSED.findall(match[1])
