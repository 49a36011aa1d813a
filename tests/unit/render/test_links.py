"""Links lead to pages of the repository, or there are none."""

from __future__ import annotations

import pytest

from sparky.render import as_markdown, links, to_document
from tests import factories
from tests.factories import oid


@pytest.mark.parametrize(
    ("page", "commit", "request_", "issue", "release"),
    [
        (
            "https://github.com/o/n",
            "/commit/OID",
            "/pull/12",
            "/issues/7",
            "/releases/tag/v1.2.0",
        ),
        (
            "https://gitlab.example.org/o/g/n",
            "/-/commit/OID",
            "/-/merge_requests/12",
            "/-/issues/7",
            "/-/tags/v1.2.0",
        ),
        (
            "https://codeberg.org/o/n",
            "/commit/OID",
            "/pulls/12",
            "/issues/7",
            "/releases/tag/v1.2.0",
        ),
        (
            "https://bitbucket.org/o/n",
            "/commits/OID",
            "/pull-requests/12",
            "/issues/7",
            "/src/v1.2.0",
        ),
    ],
)
def test_forges(page: str, commit: str, request_: str, issue: str, release: str) -> None:
    """Each forge has its own paths to a commit, a pull request, an issue and a release."""
    to = links.links(factories.repo(url=page))
    assert to.cite(f"commit:{oid(1)}").url == page + commit.replace("OID", oid(1))
    assert to.cite("pull_request:12").url == page + request_
    assert to.cite("issue:7").url == page + issue
    assert to.cite("release:v1.2.0").url == page + release


def test_links_on_unknown_hosts_are_short_names() -> None:
    """Where Sparky does not know the paths, it makes none up."""
    to = links.links(factories.repo(url="https://git.example.org/o/n"))
    assert to.cite(f"commit:{oid(1)}") == links.Link(oid(1)[:7], None)
    assert to.page == "https://git.example.org/o/n"


def test_a_github_repository_on_a_host_of_its_own_has_links() -> None:
    """What GitHub's API read has GitHub's paths, whatever the host is called."""
    to = links.links(factories.repo(source="github", url="https://code.example.org/o/n"))
    assert to.cite("issue:7").url == "https://code.example.org/o/n/issues/7"


@pytest.mark.parametrize(
    "tag", ["../../../evil", "a/../b", ".", "v1 x", "v1?x=y", "<b>", "", "a//b"]
)
def test_odd_tags_have_no_link(tag: str) -> None:
    """A tag that would lead astray is shown, and leads nowhere."""
    assert links.links(factories.repo()).cite(f"release:{tag}").url is None


def test_tags_with_an_at_sign_are_linked_and_notify_nobody() -> None:
    """A release such as `rocket@2.0` has a link, whose text is code."""
    digest = factories.digest(points=(factories.point("A", cites=("release:rocket@2.0",)),))
    assert (
        "[`rocket@2.0`](https://github.com/acme/rocket/releases/tag/rocket%402.0)"
        in as_markdown(digest)
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com/o/n",
        "https://user@github.com/o/n",
        "https://github.com/o/n?x=1",
        "https://github.com/o/n#x",
        "https://github.com/../n",
        "https://localhost/x y",
        "javascript:alert(1)//https://github.com",
        "https://github.com/o/n\n",
        "",
        None,
    ],
)
def test_only_plain_https_pages_are_pages(url: str | None) -> None:
    """A URL that is more than a page is not shown and not linked."""
    assert links.web_page(url) is None
    assert to_document(factories.digest(repo=factories.repo(url=url)))["repo"]["url"] is None
