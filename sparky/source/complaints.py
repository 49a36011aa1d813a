"""What git and the system complain of, in Sparky's errors: one line, and what to do next."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from datetime import datetime, timedelta

from sparky.errors import SourceError, SparkyError, Throttled, Transient

_PAUSE = timedelta(minutes=1)
"""How long a host that says "too many requests" is left alone; git does not tell for how long."""
_FREE = "Free some, or put SPARKY_CACHE_DIR elsewhere"


@dataclass(frozen=True, slots=True)
class _Rule:
    signs: tuple[str, ...]
    """In lower case; one of them is in what git says."""
    message: str
    remedy: str
    error: type[SourceError] | type[Transient] = SourceError


# The first rule with a sign in the text is believed: causes stand before their consequences.
_RULES = (
    _Rule(
        ("no space left on device", "disk quota exceeded"),
        "no disk space is left for {subject}",
        _FREE,
    ),
    _Rule(
        ("file too large", "died of signal 25", "file size limit exceeded"),
        "{subject} is larger than it may be",
        "Raise SPARKY_GIT_MAX_BYTES",
    ),
    _Rule(
        ("could not resolve host", "temporary failure in name resolution", "unknown host"),
        "the host of {subject} is not found",
        "Check the URL and the network",
        Transient,
    ),
    _Rule(
        ("host key verification failed",),
        "the host key of {subject} is not known",
        "Connect once with ssh and accept the key",
    ),
    _Rule(
        ("permission denied (publickey", "permission denied, please try again"),
        "the host of {subject} refuses this user's ssh keys",
        "Add a key to the account there, or to the ssh agent here",
    ),
    _Rule(
        ("ssl certificate problem", "server certificate verification failed"),
        "the certificate of {subject} is not trusted",
        "Add its authority to the system's, or name it in SSL_CERT_FILE",
    ),
    _Rule(
        ("authentication failed", "could not read username", "could not read password"),
        "{subject} does not exist or needs a login",
        "Check the URL; a private repository can be read over ssh or from a local clone",
    ),
    _Rule(
        ("repository not found", "returned error: 404", "returned error: 401",
         "returned error: 403", "' not found", "access denied or repository not exported"),
        "{subject} is not found, or may not be read",
        "Check the URL and your rights to it",
    ),
    _Rule(
        ("dubious ownership",),
        "{subject} belongs to another user",
        "Give its path instead of a file:// URL",
    ),
    _Rule(
        ("does not appear to be a git repository", "not a git repository"),
        "{subject} is not a git repository",
        "Give the path or URL of one, or owner/name for GitHub",
    ),
    _Rule(
        ("couldn't find remote ref head",),
        "the default branch of {subject} has no commits yet",
        "Push a commit, or set its default branch",
    ),
    _Rule(
        ("from promisor remote", "lazy fetching disabled"),
        "{subject} is a partial clone that lacks what its history needs",
        "Give its URL, or a full clone",
    ),
    _Rule(
        ("unknown repository extension", "expected git repo version"),
        "{subject} has a format that this git cannot read",
        "Install a newer git",
    ),
    _Rule(
        ("mismatched algorithms",),
        "{subject} names its objects by SHA-256, which is not read over the network",
        "Clone it, and give the clone's path",
    ),
    _Rule(
        ("unrecognized argument: --since-as-filter",),
        "git is too old to read {subject}",
        "Install git 2.37 or newer",
    ),
    _Rule(
        ("connection refused", "connection reset", "connection timed out", "operation timed out",
         "could not connect", "couldn't connect", "failed to connect", "unable to connect",
         "network is unreachable", "no route to host", "early eof", "unexpected disconnect",
         "the remote end hung up", "rpc failed", "returned error: 5", "gnutls", "ssl_error",
         "transfer closed", "broken pipe"),
        "the connection to {subject} failed",
        "Try again, and check the network",
        Transient,
    ),
    _Rule(
        ("bad object", "corrupt", "unable to read", "could not read", "missing blob", "bad tree",
         "bad object", "inflate", "did not match", "missing object", "failed to read",
         "failed to parse", "unable to parse", "not a valid object", "invalid object",
         "failed to traverse", "unable to find"),
        "{subject} is damaged: {line}",
        "Run `git fsck` there, or clone it anew",
    ),
)  # fmt: skip


def from_git(said: str, subject: str, now: datetime) -> SparkyError:
    """The error for what git wrote when it failed.

    Args:
        said: git's standard error, or its end.
        subject: the path or URL of the repository.
        now: for a host that asks to be left alone.
    """
    # What the other side sends for people to read proves nothing.
    lines = [line.strip() for line in said.splitlines() if not line.startswith("remote:")]
    text = "\n".join(lines).casefold()
    if "returned error: 429" in text:
        return Throttled(f"the host of {subject} asks for a pause", until=now + _PAUSE)
    line = next((line for line in lines if line.startswith(("fatal:", "error:"))), "")
    line = line.partition(":")[2].strip() or next(filter(None, lines), "it says nothing")
    for rule in _RULES:
        if any(sign in text for sign in rule.signs):
            message = rule.message.format(subject=subject, line=line)
            return rule.error(message, remedy=rule.remedy)
    return SourceError(
        f"git cannot read {subject}: {line}", remedy="Try `git log` on it to see more"
    )


def from_os(error: OSError, subject: str) -> SparkyError:
    """The error for what the system refuses."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return SourceError(f"no disk space is left for {subject}", remedy=_FREE)
    if error.errno in {errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE}:
        return Transient(
            f"the system is too busy to read {subject}: {error.strerror}", remedy="Try again"
        )
    return SourceError(
        f"{subject} cannot be read: {error.strerror or error}",
        remedy="Check that it exists and that you may read it",
    )
