"""Whatever a text from a repository holds, it is shown as text and does nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import example, given, settings
from markdown_it import MarkdownIt
from markdown_it.token import Token

from sparky.model import Digest, Status
from sparky.render import as_html, as_markdown, links, wording
from sparky.render.inline import plain
from tests import factories
from tests.strategies import FRAGMENTS, hostile, hostile_digests

TAGS = set(
    "html head meta title style body main header p h1 h2 strong span a section ul li code "
    "details summary footer".split()
)
ATTRIBUTES = {"href", "rel", "class", "title", "lang", "charset", "http-equiv", "content", "name"}


class Page(HTMLParser):
    """Every tag and attribute of a page, as a browser would meet them."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.other: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self.other.append(data)

    def handle_pi(self, data: str) -> None:
        self.other.append(data)


def assert_own_link(url: str | None, digest: Digest) -> None:
    """The link leads to the repository's own pages, by a path that Sparky knows."""
    page = links.web_page(digest.repo.url)
    assert page is not None
    assert page.startswith("https://")
    path = r"(/-)?/(commits?|pull|pulls|pull-requests|merge_requests|issues|tags|src|releases/tag)/"
    number = r"([0-9a-f]{7,64}|[0-9]{1,12}|[\w.+%/-]+)"
    assert re.fullmatch(re.escape(page.rstrip("/")) + f"({path}{number})?/?", url or "")


@given(hostile_digests)
@example(
    factories.digest(headline="".join(FRAGMENTS), people=(factories.contribution("<b>x</b>"),))
)
@settings(max_examples=60)
def test_html_is_never_active(digest: Digest) -> None:
    """No text makes a tag, an attribute, a comment or a link; nothing is loaded from anywhere."""
    page = Page(as_html(digest))
    assert {tag for tag, _ in page.tags} <= TAGS
    assert {name for _, attributes in page.tags for name in attributes} <= ATTRIBUTES
    assert page.other == []
    for tag, attributes in page.tags:
        if "href" in attributes:
            assert tag == "a"
            assert_own_link(attributes["href"], digest)
    assert [tag for tag, _ in page.tags].count("style") == 1


@given(hostile_digests)
@settings(max_examples=50)
def test_html_forbids_what_it_does_not_have(digest: Digest) -> None:
    """Even a mistake could not run or load anything: the page's policy forbids it."""
    policy = next(
        attributes["content"]
        for tag, attributes in Page(as_html(digest)).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def tokens(markdown: str) -> list[Token]:
    """What a renderer that allows everything makes of the text, blocks and their parts."""
    blocks = MarkdownIt("commonmark").enable("strikethrough").enable("table").parse(markdown)
    return [token for block in blocks for token in (block, *(block.children or ()))]


INERT = set(
    "heading_open heading_close paragraph_open paragraph_close inline text strong_open strong_close "
    "bullet_list_open bullet_list_close list_item_open list_item_close blockquote_open "
    "blockquote_close code_inline link_open link_close hr text_special".split()
)
FORGE_WOULD_LINK = re.compile(
    r"(?<![\w/])@\w|(?<![\w&])#\d|\w#\d|\bGH-\d|://|\bwww\.|\w@\w|\b[0-9a-f]{40}\b", re.IGNORECASE
)


@given(hostile_digests)
@example(
    factories.digest(headline="".join(FRAGMENTS), people=(factories.contribution("<b>x</b>"),))
)
@settings(max_examples=60)
def test_markdown_is_never_active(digest: Digest) -> None:
    """No HTML, image, foreign link or emphasis comes of a text, and no forge finds anything in it."""
    found = tokens(as_markdown(digest))
    assert {token.type for token in found} <= INERT
    in_link = 0
    for token in found:
        if token.type == "link_open":
            assert_own_link(str(token.attrs["href"]), digest)
        in_link += token.nesting if token.type.startswith("link_") else 0
        if token.type == "text" and not in_link:
            assert not FORGE_WOULD_LINK.search(token.content), token.content


@given(hostile_digests)
@settings(max_examples=60)
def test_markdown_keeps_its_shape(digest: Digest) -> None:
    """No text makes a heading, a list item or a quote of its own, or breaks one that is there."""
    found = [token.type for token in tokens(as_markdown(digest))]
    sections = list(wording.sections(digest.points))
    rows = [min(len(points), 12) + (len(points) > 12) for _, points in sections]
    assert found.count("heading_open") == 1 + len(sections) + bool(digest.people)
    assert found.count("list_item_open") == sum(rows)
    assert found.count("bullet_list_open") == len(sections)
    assert found.count("blockquote_open") == (digest.status is Status.PARTIAL or bool(digest.notes))
    assert found.count("strong_open") == bool(plain(digest.headline)) + (
        digest.status is Status.PARTIAL
    )


@given(hostile)
def test_nothing_hidden_reaches_a_reader(text: str) -> None:
    """Signs that hide, turn around or steer what is shown are gone from Markdown and HTML."""
    digest = factories.digest(headline=text, points=(factories.point(text),))
    for shown in (as_markdown(digest), as_html(digest)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]", shown)
