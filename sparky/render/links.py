"""Where activities have web pages. Sparky builds every link itself, from checked parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from sparky.model import Repo

PAGE = re.compile(
    r"https://[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d{1,5})?(?:/[\w.~+-]+)*/?", re.ASCII
)
OID = re.compile(r"[0-9a-f]{7,64}")
NUMBER = re.compile(r"[0-9]{1,12}")
TAG = re.compile(r"[\w.+@-]+(?:/[\w.+@-]+)*", re.ASCII)

FORGES = {
    "github": {
        "commit": "/commit/{}",
        "pull_request": "/pull/{}",
        "issue": "/issues/{}",
        "release": "/releases/tag/{}",
    },
    "gitlab": {
        "commit": "/-/commit/{}",
        "pull_request": "/-/merge_requests/{}",
        "issue": "/-/issues/{}",
        "release": "/-/tags/{}",
    },
    "gitea": {
        "commit": "/commit/{}",
        "pull_request": "/pulls/{}",
        "issue": "/issues/{}",
        "release": "/releases/tag/{}",
    },
    "bitbucket": {
        "commit": "/commits/{}",
        "pull_request": "/pull-requests/{}",
        "issue": "/issues/{}",
        "release": "/src/{}",
    },
}
"""Paths behind a repository's page, by the kind of forge and the kind of activity."""

HOSTS = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
    "bitbucket.org": "bitbucket",
}
FAMILIES = {"github": "github", "gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}
"""What the first part of a host's name says, as in `gitlab.example.org`."""


@dataclass(frozen=True, slots=True)
class Link:
    """A short text, and where it leads, if anywhere."""

    text: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """The links of one repository."""

    page: str | None
    """The repository's web page (https), without a slash at its end."""
    forge: str | None
    """Which kind of forge that page is on; None where it is not known, and so has no links."""

    def cite(self, key: str) -> Link:
        """A short name for an activity: `a1b2c3d`, `#12`, `v1.2.0`."""
        kind, _, name = key.partition(":")
        match kind:
            case "commit" if OID.fullmatch(name):
                return Link(name[:7], self._url(kind, name))
            case "pull_request" | "issue" if NUMBER.fullmatch(name):
                sign = "!" if self.forge == "gitlab" and kind == "pull_request" else "#"
                return Link(sign + name, self._url(kind, name))
            case "release" if TAG.fullmatch(name) and not {".", ".."} & set(name.split("/")):
                return Link(name, self._url(kind, name))
        return Link(name or key)

    def reference(self, number: str) -> str | None:
        """Where `#<number>` in a message leads: forges send on from an issue to its pull request."""
        if self.forge == "bitbucket" or not NUMBER.fullmatch(number):
            return None
        return self._url("issue", number)

    def _url(self, kind: str, name: str) -> str | None:
        if self.page is None or self.forge is None:
            return None
        return self.page + FORGES[self.forge][kind].format(quote(name, safe="/"))


def links(repo: Repo) -> Links:
    """The links of a repository; none where its web page is not one that Sparky knows."""
    page = web_page(repo.url)
    if page is None:
        return Links(None, None)
    host = (urlsplit(page).hostname or "").lower()
    forge = HOSTS.get(host) or FAMILIES.get(host.partition(".")[0])
    if forge is None and repo.source in FORGES:
        forge = repo.source
    return Links(page.rstrip("/"), forge)


def web_page(url: str | None) -> str | None:
    """The URL if it is a plain https page without user, query or fragment, else None."""
    return url if url and PAGE.fullmatch(url) and "/../" not in f"{url}/" else None
