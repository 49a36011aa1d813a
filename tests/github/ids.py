"""Node ids: a type's prefix and what it takes to find the node again, opaque to clients."""

from __future__ import annotations

import base64
import binascii

PREFIXES = {
    "Repository": "R",
    "Commit": "C",
    "PullRequest": "PR",
    "Issue": "I",
    "Release": "RE",
    "Ref": "REF",
    "Label": "LA",
    "PullRequestReview": "PRR",
    "ReviewRequest": "RR",
    "PullRequestCommit": "PRC",
    "Topic": "TO",
    "RepositoryTopic": "RT",
    "Language": "LN",
    "User": "U",
    "Bot": "BOT",
    "Mannequin": "M",
    "Organization": "O",
    "Team": "T",
    "Tag": "TAG",
}
TYPENAMES = {prefix: typename for typename, prefix in PREFIXES.items()}


def encode(typename: str, *parts: str | int) -> str:
    """The id of a node: `R_` and letters that stay the same for ever."""
    packed = "\0".join(map(str, parts)).encode()
    return f"{PREFIXES[typename]}_{base64.urlsafe_b64encode(packed).decode().rstrip('=')}"


def decode(node_id: str) -> tuple[str, list[str]] | None:
    """Typename and parts of an id; None when it is not one of ours."""
    prefix, _, packed = node_id.partition("_")
    if prefix not in TYPENAMES or not packed:
        return None
    try:
        text = base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return TYPENAMES[prefix], text.split("\0")
