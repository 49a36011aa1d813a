"""Digests for property tests: of plain text, and of text that tries to come to life."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from sparky.model import (
    Contribution,
    Digest,
    Kind,
    LedgerEntry,
    Omission,
    Origin,
    Point,
    Repo,
    Role,
    Section,
    Status,
    Window,
)
from tests import factories
from tests.factories import oid

counts = st.integers(0, 10**6)
keys = st.one_of(
    st.integers(0, 99).map(lambda n: f"commit:{oid(n)}"),
    st.integers(1, 99999).map(lambda n: f"pull_request:{n}"),
    st.integers(1, 99999).map(lambda n: f"issue:{n}"),
    st.from_regex(r"release:v[0-9]\.[0-9]", fullmatch=True),
)
zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.builds(
    lambda seconds, zone: datetime.fromtimestamp(seconds, zone), st.integers(0, 2**32), zones
)
windows = st.tuples(times, st.timedeltas(timedelta(seconds=1), timedelta(days=800))).map(
    lambda drawn: Window(drawn[0], drawn[0] + drawn[1])
)
pages: st.SearchStrategy[str | None] = st.sampled_from(
    [
        "https://github.com/acme/rocket",
        "https://gitlab.com/acme/tools/rocket/",
        "https://codeberg.org/acme/rocket",
        "https://bitbucket.org/acme/rocket",
        "https://git.example.org:8443/acme/rocket",
        None,
    ]
)
roles = st.dictionaries(st.sampled_from(Role).map(str), counts, max_size=5)


def digests(
    text: st.SearchStrategy[str],
    key: st.SearchStrategy[str] = keys,
    url: st.SearchStrategy[str | None] = pages,
) -> st.SearchStrategy[Digest]:
    """Digests with the given text wherever text from outside can stand."""
    cites = st.lists(key, max_size=8).map(tuple)
    return st.builds(
        Digest,
        repo=st.builds(Repo, st.just("git:1"), text, st.just("git"), st.just(""), url),
        window=windows,
        revision=st.integers(1, 9),
        status=st.sampled_from(Status),
        headline=text,
        headline_cites=cites,
        points=st.lists(
            st.builds(
                Point,
                text,
                st.sampled_from(Section),
                cites,
                st.sampled_from(Origin),
                st.floats(0, 1),
            ),
            max_size=6,
        ).map(tuple),
        stats=st.builds(
            factories.stats, commits=counts, merges=counts, authors=counts, files=counts
        ),
        people=st.lists(
            st.builds(Contribution, text, st.none() | text, st.booleans(), roles), max_size=3
        ).map(tuple),
        ledger=st.lists(
            st.builds(
                LedgerEntry,
                st.sampled_from(Kind),
                counts,
                counts,
                counts,
                st.lists(st.builds(Omission, key, text), max_size=3).map(tuple),
                counts,
            ),
            max_size=4,
        ).map(tuple),
        provenance=st.builds(
            factories.provenance, model=text, engine=text, prompt_version=text, engine_calls=counts
        ),
        notes=st.lists(text, max_size=2).map(tuple),
    )


plain_digests = digests(st.text(max_size=40))

FRAGMENTS = [
    "<script>alert(1)</script>",
    "<img src=https://evil.example/x.png onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "</style></title><iframe src=//evil.example></iframe>",
    "<!-- ",
    "-->",
    "<https://evil.example>",
    "<evil@evil.example>",
    "[x](https://evil.example)",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "[x][y]",
    "[y]: https://evil.example",
    "https://evil.example/a?b=c",
    "www.evil.example",
    "evil@evil.example",
    "@ada",
    "@acme/team",
    "acme/rocket#12",
    "#12",
    "GH-12",
    oid(1),
    "```",
    "``",
    "`",
    "`` ` ``",
    "`code`",
    "**",
    "__",
    "_x_",
    "*x*",
    "~~x~~",
    "$x$",
    "|",
    "\\",
    "\\`",
    "&lt;script&gt;",
    "&#60;",
    "\n\n# Title\n\n",
    "\n- item\n",
    "\n> quote",
    "\n---\n",
    "\n    code",
    "- ",
    "+ ",
    "1. ",
    "1)",
    "===",
    "[ ] task",
    "[^1]",
    "\u202e",
    "\u200b",
    "\x1b[31m",
    "\x00",
    " ",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "%3Cscript%3E",
    '"',
    "'",
    "(",
    ")",
]
hostile = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), max_size=8).map("".join)
hostile_keys = keys | hostile | hostile.map("release:{}".format) | hostile.map("commit:{}".format)
urls = pages | hostile | st.just("javascript:alert(1)") | pages.map('{}"><script>'.format)
hostile_digests = digests(hostile, hostile_keys, urls)
