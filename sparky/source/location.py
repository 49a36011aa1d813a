"""What a location names: a repository on this machine, or one behind a URL."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from sparky.errors import SourceError
from sparky.source import complaints

_SHORT = re.compile(r"(?P<owner>[A-Za-z0-9][A-Za-z0-9-]{0,38})/(?P<name>[A-Za-z0-9._-]{1,100})")
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>.*)")
_SCP = re.compile(r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/:@\s]+):(?P<path>.+)")
_HELPER = re.compile(r"[A-Za-z0-9]*::")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])")

_PLAIN = re.compile(r"[\w~.%+-]+(?:/[\w~.%+-]+)*")

_FORGES = frozenset({"github", "gitlab", "bitbucket", "codeberg", "gitea", "forgejo"})
"""How the hosts of forges are called: `gitlab.com`, `gitlab.example.org`."""
_ANY_CASE = frozenset({"github.com", "gitlab.com", "bitbucket.org", "codeberg.org"})
"""Forges where `Owner/Name` and `owner/name` are one repository."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository behind a URL, without credentials."""

    url: str
    """What git is given."""
    host: str
    """In lower case; empty for file://."""
    path: str
    """Without slashes around it and without `.git`."""

    @property
    def origin(self) -> str:
        """What https, ssh and scp-like URLs of one repository share."""
        path = self.path.casefold() if self.host in _ANY_CASE else self.path
        return f"{self.host}/{path}"

    @property
    def name(self) -> str:
        """`owner/name`, with all groups on GitLab; the folder's name for file://."""
        return self.path if self.host else self.path.rpartition("/")[2]

    @property
    def page(self) -> str | None:
        """The https page, where the host is a forge."""
        if self.host.split(".")[0] not in _FORGES or "/" not in self.path:
            return None
        return f"https://{self.host}/{quote(self.path, safe='/~._-%')}"


@dataclass(frozen=True, slots=True)
class Local:
    """A repository on this machine."""

    top: Path
    """The work tree, or the bare repository; absolute, without symbolic links."""
    folder: Path
    """The git directory."""

    @property
    def name(self) -> str:
        return self.top.name.removesuffix(".git") or str(self.top)


def understand(location: str) -> Local | Remote:
    """What a location names: a path (if there is a repository), a URL, or `owner/name` on GitHub.

    Raises:
        SourceError: nothing is there, or the location is refused.
    """
    if not location.strip() or location.startswith("-"):
        raise SourceError(
            f"{location!r} is not a location", remedy="Give a path, a git URL or owner/name"
        )
    _check_printable(location)
    if "://" in location or _HELPER.match(location):
        return parse_url(location)
    path = Path(location)
    try:
        if found := find(path):
            _check_printable(str(found.top))
            return found
        exists = path.exists()
    except OSError as error:
        raise complaints.from_os(error, location) from error
    match = _SHORT.fullmatch(location)
    if match and match["name"].strip("."):
        return parse_url(f"https://github.com/{match['owner']}/{_bare(match['name'])}.git")
    if not exists and _SCP.fullmatch(location):
        return parse_url(location)
    if exists:
        raise SourceError(
            f"{location} is not a git repository", remedy="Run `git init` there, or give another"
        )
    raise SourceError(
        f"{location} does not exist", remedy="Give a path, a git URL or owner/name on GitHub"
    )


def _check_printable(location: str) -> None:
    """Line breaks and broken encodings would reach messages, rows and pages."""
    if not location.isprintable():
        raise SourceError(
            f"{location!a} has characters that cannot be shown", remedy="Rename it, or link to it"
        )


def find(path: Path) -> Local | None:
    """The repository that a folder is, or is inside of. Git's own search would ask who owns it."""
    if not path.is_dir():
        return None
    start = path.resolve()
    for top in (start, *start.parents):
        inside = top / ".git"
        if inside.is_file():
            with inside.open("rb") as file:
                said = os.fsdecode(file.read(4096))
            inside = top / said.removeprefix("gitdir:").strip()
        if _is_git_directory(inside):
            return Local(top, inside.resolve())
        if _is_git_directory(top):
            # Inside of a `.git` folder, the repository is what stands around it.
            return Local(top.parent if top.name == ".git" else top, top)
    return None


def _is_git_directory(folder: Path) -> bool:
    head = folder / "HEAD"
    if not (head.is_file() or head.is_symlink()):
        return False
    return (folder / "commondir").is_file() or (
        (folder / "objects").is_dir() and (folder / "refs").is_dir()
    )


def parse_url(url: str) -> Remote:
    """A URL that may be read.

    Raises:
        SourceError: its transport is refused, it holds credentials, or it is malformed.
    """
    if _HELPER.match(url):
        raise _refused(url.partition("::")[0] + "::")
    match = _URL.fullmatch(url)
    if match is None:
        return _parse_scp(url)
    scheme, rest = match["scheme"].lower(), match["rest"]
    if scheme not in {"https", "ssh", "git", "file"}:
        raise _refused(f"{scheme}://")
    authority, slash, path = rest.partition("/")
    user, _, host = authority.rpartition("@")
    if user and (":" in user or scheme != "ssh"):
        raise SourceError(
            f"the URL of {host}{slash}{path} holds credentials",
            remedy="Leave out what stands before the @",
        )
    host, _, port = _split_port(host)
    named = bool(_HOST.fullmatch(host)) if scheme != "file" else host in {"", "localhost"}
    if not named or not path.strip("/") or not (port.isdecimal() or not port):
        raise _malformed(url)
    if user.startswith("-") or (scheme != "file" and re.search(r"[?#\s\\]", path)):
        raise _malformed(url)
    clean = f"{scheme}://{authority if host else ''}/{path}"
    return Remote(clean, "" if scheme == "file" else host.lower(), _bare(path))


def _parse_scp(url: str) -> Remote:
    match = _SCP.fullmatch(url)
    if match is None or not _HOST.fullmatch(match["host"]) or match["path"].startswith("-"):
        raise _malformed(url)
    if (match["user"] or "").startswith("-") or not match["path"].strip("/"):
        raise _malformed(url)
    return Remote(url, match["host"].lower(), _bare(match["path"]))


def origin_of(url: str, top: Path) -> Remote | None:
    """What a repository's own `origin` says; nobody has checked it, and nothing is asked there.

    Args:
        url: as in its configuration; credentials in it are left behind.
        top: what a relative path starts from.
    """
    match = _URL.fullmatch(url)
    if match is None and (scp := _SCP.fullmatch(url)):
        host, path = scp["host"], scp["path"]
    elif match is None or match["scheme"].lower() == "file":
        path = match["rest"] if match else url
        return Remote("", "", _bare(os.path.normpath(top / path)))
    else:
        authority, _, path = match["rest"].partition("/")
        host = _split_port(authority.rpartition("@")[2])[0]
        path = re.split(r"[?#]", path, maxsplit=1)[0]
    known = _HOST.fullmatch(host) and _PLAIN.fullmatch(_bare(path))
    return Remote("", host.lower(), _bare(path)) if known else None


def _split_port(host: str) -> tuple[str, str, str]:
    name, colon, port = host.rpartition(":")
    return (name, colon, port) if colon and not host.endswith("]") else (host, "", "")


def _bare(path: str) -> str:
    return path.strip("/").removesuffix(".git").rstrip("/")


def _refused(transport: str) -> SourceError:
    return SourceError(
        f"git repositories are not read over {transport}",
        remedy="Use https" if transport == "http://" else "Use https, ssh, git or file",
    )


def _malformed(url: str) -> SourceError:
    shown = re.sub(r"//.*@", "//", url)
    return SourceError(f"{shown} is not a URL that git can read", remedy="Check its spelling")
