"""What git complains of, in Sparky's words."""

import errno
from datetime import timedelta

import pytest

from sparky.errors import SourceError, Throttled, Transient
from sparky.source.complaints import from_git, from_os
from tests.factories import START

URL = "https://example.org/acme/rocket.git"


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        (
            "fatal: unable to access 'https://example.org/': Could not resolve host: example.org",
            Transient,
            "host of .* is not found",
        ),
        (
            (
                "ssh: Could not resolve hostname example.org: Name or service not known\n"
                "fatal: Could not read from remote repository."
            ),
            Transient,
            "host of .* is not found",
        ),
        (
            (
                "ssh: connect to host example.org port 22: Connection refused\n"
                "fatal: Could not read from remote repository."
            ),
            Transient,
            "connection to .* failed",
        ),
        (
            (
                "error: RPC failed; curl 56 GnuTLS recv error (-9)\nfatal: early EOF\n"
                "fatal: fetch-pack: invalid index-pack output"
            ),
            Transient,
            "connection to .* failed",
        ),
        (
            "fatal: unable to access 'https://example.org/': The requested URL returned error: 503",
            Transient,
            "connection to .* failed",
        ),
        (
            (
                "git@example.org: Permission denied (publickey).\n"
                "fatal: Could not read from remote repository."
            ),
            SourceError,
            "refuses this user's ssh keys",
        ),
        (
            "Host key verification failed.\nfatal: Could not read from remote repository.",
            SourceError,
            "host key .* not known",
        ),
        (
            "fatal: could not read Username for 'https://example.org': terminal prompts disabled",
            SourceError,
            "does not exist or needs a login",
        ),
        (
            "remote: Repository not found.\nfatal: repository 'https://example.org/' not found",
            SourceError,
            "is not found, or may not be read",
        ),
        (
            "fatal: unable to access 'https://example.org/': SSL certificate problem: self-signed",
            SourceError,
            "certificate of .* is not trusted",
        ),
        (
            "fatal: write error: No space left on device\nfatal: index-pack failed",
            SourceError,
            "no disk space is left",
        ),
        (
            "error: index-pack died of signal 25\nfatal: index-pack failed",
            SourceError,
            "larger than it may be",
        ),
        ("fatal: unrecognized argument: --since-as-filter=@1", SourceError, "too old .* git 2.37"),
        ("fatal: couldn't find remote ref HEAD", SourceError, "has no commits yet"),
        (
            "fatal: detected dubious ownership in repository at '/srv/rocket'",
            SourceError,
            "belongs to another user",
        ),
        (
            "error: inflate: data stream error\nfatal: loose object 1234 is corrupt",
            SourceError,
            "is damaged: inflate: data stream error",
        ),
        ("fatal: something new", SourceError, "cannot read .*: something new"),
        ("", SourceError, "it says nothing"),
    ],
)
def test_a_complaint_is_translated(said: str, error: type[Exception], message: str) -> None:
    """The cause is found among its consequences, and named with the repository and a remedy."""
    with pytest.raises(error, match=message) as caught:
        raise from_git(said, URL, START)
    assert URL in str(caught.value)
    assert caught.value.remedy  # type: ignore[attr-defined]
    assert "\n" not in str(caught.value)


def test_too_many_requests_are_waited_for() -> None:
    """A host that answers 429 is left alone for a minute."""
    with pytest.raises(Throttled) as caught:
        raise from_git("fatal: The requested URL returned error: 429", URL, START)
    assert caught.value.until == START + timedelta(minutes=1)


def test_what_the_other_side_says_for_people_proves_nothing() -> None:
    """A server cannot choose the error by what it prints."""
    said = "remote: No space left on device\nfatal: repository 'https://example.org/' not found"
    with pytest.raises(SourceError, match="is not found"):
        raise from_git(said, URL, START)


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.ENOSPC, SourceError, "no disk space"),
        (errno.EACCES, SourceError, "Permission denied"),
        (errno.EMFILE, Transient, "too busy"),
    ],
)
def test_what_the_system_refuses_is_translated(
    number: int, error: type[Exception], message: str
) -> None:
    """Errors of the system name the path and a remedy too."""
    with pytest.raises(error, match=message) as caught:
        raise from_os(OSError(number, "Permission denied"), "/srv/rocket")
    assert "/srv/rocket" in str(caught.value)
