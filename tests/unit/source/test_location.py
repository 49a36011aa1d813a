"""What a location names."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparky.errors import SourceError
from sparky.source.location import Local, Remote, origin_of, parse_url, understand
from tests.repositories import Repository


@pytest.mark.parametrize(
    ("url", "origin", "name", "page"),
    [
        (
            "https://github.com/Acme/Rocket.git",
            "github.com/acme/rocket",
            "Acme/Rocket",
            "https://github.com/Acme/Rocket",
        ),
        (
            "git@github.com:acme/rocket.git",
            "github.com/acme/rocket",
            "acme/rocket",
            "https://github.com/acme/rocket",
        ),
        (
            "ssh://git@gitlab.example.org:2222/space/crew/rocket",
            "gitlab.example.org/space/crew/rocket",
            "space/crew/rocket",
            "https://gitlab.example.org/space/crew/rocket",
        ),
        ("git://git.example.org/rocket.git", "git.example.org/rocket", "rocket", None),
        ("https://example.org:8443/Acme/rocket/", "example.org/Acme/rocket", "Acme/rocket", None),
        ("file:///srv/git/rocket.git", "/srv/git/rocket", "rocket", None),
        ("host:rocket.git", "host/rocket", "rocket", None),
        ("git@[::1]:acme/rocket", "[::1]/acme/rocket", "acme/rocket", None),
    ],
)
def test_a_url_is_understood(url: str, origin: str, name: str, page: str | None) -> None:
    """Each form of URL gives the origin that all forms share, a name, and a page if it has one."""
    found = parse_url(url)
    assert (found.origin, found.name, found.page) == (origin, name, page)


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com/acme/rocket",
        "ftp://example.org/rocket",
        "git+ssh://example.org/rocket",
        "ext::sh -c 'touch /tmp/x'",
        "fd::17",
        "::sh",
        "https::https://example.org/rocket",
    ],
)
def test_another_transport_is_refused(url: str) -> None:
    """Only https, ssh, git and file are spoken, and the message says which to use."""
    with pytest.raises(SourceError, match=r"not read over .* Use https"):
        understand(url)


@pytest.mark.parametrize(
    "location",
    [
        "",
        " ",
        "-u",
        "--upload-pack=touch x;",
        "ssh://-oProxyCommand=touch/rocket",
        "ssh://-oProxyCommand=touch@host/rocket",
        "-oProxyCommand=touch:rocket",
        "git@-oProxyCommand=touch:rocket",
        "host:-rocket",
        "https://",
        "https:///rocket",
        "https://github.com",
        "https://github.com:port/acme/rocket",
        "https://github.com/acme/rocket?token=1",
        "https://github.com/acme/rocket\nHost: x",
        "file://otherhost/rocket",
        "acme/..",
        "no/such/folder",
        "nothing-here",
        "a\x00b",
        "a\udcffb",
    ],
)
def test_what_cannot_be_read_is_refused(
    location: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A location that could be an option, or names nothing, is an error with a remedy."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError) as caught:
        understand(location)
    assert caught.value.remedy
    str(caught.value).encode()


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:s3cr3t@github.com/acme/rocket",
        "https://s3cr3t@github.com/acme/rocket",
        "ssh://git:s3cr3t@github.com/acme/rocket",
        "https://ada:s3/cr3t@github.com/acme/rocket",
        "http://ada:s3cr3t@github.com/acme/rocket",
    ],
)
def test_credentials_are_refused_and_not_repeated(url: str) -> None:
    """A URL with a password or token in it is refused, by a message without it."""
    with pytest.raises(SourceError) as caught:
        understand(url)
    assert "s3" not in str(caught.value)


@given(st.text())
@example("https://[::1")
@example("a::")
@example("~0")
def test_any_text_is_understood_or_refused(location: str) -> None:
    """No text brings any other error than a SourceError of one line."""
    try:
        said = str(understand(location))
    except SourceError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


def test_a_short_name_is_on_github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`owner/name` means GitHub, also where a folder of that name is no repository."""
    monkeypatch.chdir(tmp_path)
    wanted = Remote("https://github.com/acme/rocket.git", "github.com", "acme/rocket")
    assert understand("acme/rocket") == understand("acme/rocket.git") == wanted
    (tmp_path / "acme" / "rocket").mkdir(parents=True)
    assert understand("acme/rocket") == wanted


def test_a_path_beats_a_short_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`owner/name` means the repository here, if there is one."""
    monkeypatch.chdir(tmp_path)
    Repository(tmp_path / "acme" / "rocket")
    found = understand("acme/rocket")
    assert isinstance(found, Local)
    assert found.top == (tmp_path / "acme" / "rocket").resolve()


def test_a_repository_is_found_from_inside(tmp_path: Path) -> None:
    """A subfolder, the `.git` folder and what lies in it all name the repository around them."""
    top = Repository(tmp_path / "rocket").path
    (top / "src" / "deep").mkdir(parents=True)
    inside = [understand(str(top / below)) for below in ("", "src/deep", ".git", ".git/refs/heads")]
    assert inside == [Local(top.resolve(), top.resolve() / ".git")] * 4


def test_a_bare_repository_and_a_link_are_found(tmp_path: Path) -> None:
    """A bare repository is its own folder, also through a symbolic link, named without `.git`."""
    Repository(tmp_path / "rocket.git", "--bare")
    (tmp_path / "link").symlink_to("rocket.git")
    found = understand(str(tmp_path / "link"))
    assert isinstance(found, Local)
    assert found.top == found.folder == (tmp_path / "rocket.git").resolve()
    assert found.name == "rocket"


def test_a_linked_work_tree_is_found(tmp_path: Path) -> None:
    """Where `.git` is a file, it is followed to the folder that it names."""
    rocket = Repository(tmp_path / "rocket")
    rocket.commit()
    rocket.git("worktree", "add", "-q", tmp_path / "other")
    found = understand(str(tmp_path / "other"))
    assert found == Local(
        (tmp_path / "other").resolve(), (rocket.path / ".git/worktrees/other").resolve()
    )


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://ada:s3cr3t@github.com/Acme/Rocket.git", "github.com/acme/rocket"),
        ("http://example.org/rocket?token=s3cr3t", "example.org/rocket"),
        ("git@github.com:acme/rocket", "github.com/acme/rocket"),
        ("../other.git", "/srv/other"),
        ("file:///srv/other.git", "/srv/other"),
        ("https://github.com/<script>/x", None),
        ("ext::sh -c touch% x", None),
    ],
)
def test_the_origin_that_a_repository_names_is_not_trusted(url: str, origin: str | None) -> None:
    """What stands in a configuration gives an origin without credentials, or none."""
    found = origin_of(url, Path("/srv/rocket"))
    assert (found and found.origin) == origin
