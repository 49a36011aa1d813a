"""Secrets go, whatever else there is stays, and no text makes it slow."""

from __future__ import annotations

import random
import re
import string
import time
from collections import Counter
from collections.abc import Iterable
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparky.redact import MARK, clean, redact, rules, scrub_url
from tests import factories, planted
from tests.planted import Planted

# ---- What must go --------------------------------------------------------------------------------


def recall(texts: Iterable[Planted]) -> tuple[float, dict[str, float]]:
    """The share of planted secrets that are gone, over all and for each kind."""
    seen: Counter[str] = Counter()
    gone: Counter[str] = Counter()
    for text in texts:
        seen[text.kind] += 1
        gone[text.kind] += text.secret not in redact(text.text)[0]
    return gone.total() / seen.total(), {kind: gone[kind] / seen[kind] for kind in seen}


def test_recall_over_every_rule() -> None:
    """Of secrets drawn from the patterns of all rules at least 99 % go; no rule is dead."""
    share, each = recall(planted.from_rules(rules(), each=20, seed=20260302))
    assert share >= 0.99
    assert {kind: found for kind, found in each.items() if found < 0.7} == {}


def test_recall_over_vendors_formats() -> None:
    """Of secrets in their makers' documented forms, in their usual places, at least 99 % go."""
    share, each = recall(planted.from_vendors(each=50, seed=20260302))
    assert share >= 0.99
    assert {kind: found for kind, found in each.items() if found < 0.9} == {}


def test_mark_names_the_kind_and_the_rest_stays() -> None:
    """A reader sees what was there, and the words around it."""
    token = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"
    assert redact(f"Drop {token} from CI.") == ("Drop [redacted:github-pat] from CI.", 1)


def test_newer_github_tokens_go_whole() -> None:
    """No part of a `ghs_<app>_<web token>` is left, however long it is."""
    draw = random.Random(1)
    token = planted.VENDORS["github installation, newer"](draw)[0]
    text, count = redact(f"url https://x-access-token:{token}@github.com/acme/rocket and {token}")
    assert count == 2
    assert not any(part in text for part in re.split(r"[._]", token) if len(part) > 3)


def test_no_rest_of_a_longer_token_is_left() -> None:
    """A token that has become longer than its rule knows goes to its end."""
    token = "lin_api_" + "1a2B3c4D5e" * 6
    assert redact(f"Use {token}, then") == ("Use [redacted:linear-api-key], then", 1)


def test_secrets_side_by_side_leave_one_mark_for_what_overlaps() -> None:
    """A token as a password in a URL is one secret, named after its form."""
    token = "ghp_" + "1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P7q8R"
    text, count = redact(f"git clone https://ada:{token}@github.com/acme/rocket")
    assert text == "git clone https://ada:[redacted:github-pat]@github.com/acme/rocket"
    assert count == 1
    assert redact(f"secret = 'v1.{token}.a1b2c3d4'") == (
        "secret = '[redacted:secret-assignment]'",
        1,
    )


def test_counts_every_secret() -> None:
    """Two secrets in one text count as two."""
    draw = random.Random(2)
    first, second = (planted.VENDORS["npm"](draw)[0] for _ in range(2))
    assert redact(f"{first} and {second}")[1] == 2


def test_cut_private_keys_go() -> None:
    """A private key without its end, or without its beginning, leaves no line of itself."""
    block = ""
    while "\n+" in block or "\n" not in block:
        block, _ = planted.VENDORS["private key"](random.Random(block))
    lines = block.splitlines()
    for part in (lines[:-1], lines[1:]):
        text, count = redact("Add the key\n\n" + "\n".join(part) + "\n")
        assert count == 1
        assert not any(line in text for line in lines[1:-1])


# ---- What must stay ------------------------------------------------------------------------------

HARMLESS = (
    f"This reverts commit {factories.oid(1)}.",
    f"cache key: {factories.oid(2)}",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    f'integrity="sha512-{"z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs" * 2}lODJ6+SfaPg=="',
    "Fixes 3f2504e0-4f89-41d3-9a0c-0305e82c3301 in the event log",
    "Bump actions/checkout from 4.1.7 to 4.2.2",
    "Bumps pillow from 10.3.0 to 10.4.0 (key: version-update:semver-minor)",
    "Change-Id: I8473b95934b5732ac55d26311a706c9c2bde9940",
    "Signed-off-by: Ada Byron <ada.byron@example.org>",
    "Link: https://lore.kernel.org/r/20260302120000.12345-1-ada@example.org",
    "See https://github.com/acme/rocket/blob/main/src/auth/token.py#L10-L20",
    "Move src/auth/access_token.py to src/auth/tokens/access_token_v2.py",
    "token = get_token(session)",
    "password = getpass.getpass()",
    "secret: required",
    "Set SECRET_KEY=$SECRET_KEY in the environment",
    "Use ${{ secrets.GITHUB_TOKEN }} in the workflow",
    "auth: Add an option password=None to connect()",
    "url = http://user:password@localhost:8080/",
    "postgres://localhost:5432/app",
    "git clone git@github.com:acme/rocket.git",
    "ssh://git@example.org:2222/acme/rocket.git",
    "api_key: str | None = None",
    "The token is now read from /run/secrets/api_token",
    "Access-Control-Allow-Headers: Authorization, X-Api-Key",
    "Authorization: Bearer <token>",
    "Parse 'Authorization: Basic' headers without a password",
    "fix(sentry): release name in action-release",
    "key=lambda item: item.created_at",
    "sk-learn and task-runner-with-a-very-long-name-that-goes-on-and-on-1",
    "func encodeBase64URLSafeString(data []byte) string",
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg",
    "-----BEGIN CERTIFICATE-----",
    "Handle '-----BEGIN PRIVATE KEY-----' without an end",
    "Merge pull request #1234 from acme/feature/access-token-refresh-2",
    "TOKEN_EXPIRY = 3600; KEY_SIZE: 2048",
    "Support oauth2 token_type=bearer",
    "std::unordered_map<std::string, AccessKey2> keys",
    "0.12.0-rc.1+build.20260302",
    "Mask tokens such as npm_" + "x" * 36,
    "AKIA" + "A" * 16,
    "dropbox: synchronization of folders",
    "Authorization: Basic authentication is off",
    "password: hashed with pbkdf2_sha256",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    """Oids, sums, UUIDs, versions, paths, names in code and placeholders stay."""
    assert redact(text) == (text, 0)


# ---- Laws ----------------------------------------------------------------------------------------

PIECES = [
    *(planted.VENDORS[kind](random.Random(kind))[0] for kind in planted.VENDORS),
    *(keyword for rule in rules() for keyword in rule.keywords[:1]),
    *(" ", "\n", "=", ": ", '"', "'", "-", "_", ".", "@", "://", ":", "/", "-----", "é", "\x00"),
    *("[redacted:github-pat]", "[redacted:", "]", "a1B2c3D4e5F6g7H8", "0" * 40, "deadbeef" * 5),
]
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join)


@given(texts)
@example("discord=" + "0123456789abcdef" * 4 + "discord=" + "0123456789abcdef" * 4)
def test_redacting_twice_changes_nothing(text: str) -> None:
    """What comes out holds nothing more to take out."""
    once, _ = redact(text)
    assert redact(once) == (once, 0)


@given(texts)
def test_count_is_zero_only_where_nothing_changed(text: str) -> None:
    """A text is untouched, or the count says that it is not."""
    out, count = redact(text)
    assert (out == text) == (count == 0)
    assert len(MARK.findall(out)) - len(MARK.findall(text)) <= count


@given(texts, texts)
def test_marks_stay(before: str, after: str) -> None:
    """A mark of an earlier redaction is not taken for a secret, nor changed."""
    mark = "[redacted:gitlab-pat]"
    assert mark in redact(f"{before} {mark} {after}")[0]


def test_rules_are_sound() -> None:
    """Every rule has an id that fits into a mark, keywords in lower case, and a pattern."""
    for rule in rules():
        assert re.fullmatch(r"[a-z0-9-]+", rule.id)
        assert rule.keywords
        assert all(keyword == keyword.lower() for keyword in rule.keywords)
        assert re.compile(rule.pattern, re.ASCII).groups < 10


# ---- Work ----------------------------------------------------------------------------------------

SIZE = 8_000
BENIGN = (
    "Fix the token bucket of the client: count what it takes, not what it asks for.\n\n"
    "The key is made from the path, see src/auth/session.py and docs/access.md; passwords\n"
    "stay out of it (#123).\n"
)
HOSTILE = sorted(
    form.format(keyword.replace("{", "{{").replace("}", "}}"))
    for keyword in {keyword for rule in rules() for keyword in rule.keywords}
    for form in ("{}", "{}=", "{}-----")
)


def cost(text: str) -> float:
    """Seconds of this process's own time that one redaction takes."""
    start = time.process_time()
    redact(text)
    return time.process_time() - start


def test_no_text_is_much_more_work_than_another() -> None:
    """Any keyword over and over costs at most 40 times what a plain message of its size costs.

    A pattern that is quadratic in the text exceeds this by far, one that is linear stays below 10.
    """
    plain = (BENIGN * (SIZE // len(BENIGN) + 1))[:SIZE]
    redact("".join(keyword for rule in rules() for keyword in rule.keywords))
    usual = max(min(cost(plain) for _ in range(5)), 0.0005)
    slow = {}
    for form in HOSTILE:
        text = (form * (SIZE // len(form) + 1))[:SIZE]
        if cost(text) > 40 * usual and (least := min(cost(text) for _ in range(3))) > 40 * usual:
            slow[form] = least / usual
    assert slow == {}


# ---- Activities and URLs -------------------------------------------------------------------------


def test_clean_redacts_all_text_of_an_activity() -> None:
    """Title, body, labels and file names, old and new, are free of secrets, which are counted."""
    draw = random.Random(3)
    secrets = [planted.VENDORS["gitlab personal"](draw)[0] for _ in range(5)]
    file = factories.file_change(f"keys/{secrets[3]}.txt")
    activity = factories.commit(
        title=f"Add {secrets[0]}",
        body=f"It is {secrets[1]}",
        labels=(secrets[2], "bug"),
        files=(type(file)(file.path, 1, 0, renamed_from=f"old/{secrets[4]}"),),
        redacted=2,
    )
    cleaned = clean(activity)
    assert not any(secret in repr(cleaned) for secret in secrets)
    assert cleaned.redacted == 7
    assert cleaned.labels[1] == "bug"
    assert (cleaned.key, cleaned.at, cleaned.credits) == (
        activity.key,
        activity.at,
        activity.credits,
    )


def test_clean_leaves_an_activity_without_secrets_as_it_is() -> None:
    """Nothing is changed where nothing is taken out."""
    activity = factories.pull_request(body="Closes #7", labels=("bug",))
    assert clean(activity) == activity


@pytest.mark.parametrize(
    ("url", "scrubbed"),
    [
        ("https://github.com/acme/rocket.git", "https://github.com/acme/rocket.git"),
        ("https://ada:hunter2@github.com/acme/rocket", "https://github.com/acme/rocket"),
        ("https://sometoken@github.com/acme/rocket", "https://github.com/acme/rocket"),
        ("https://a@b:c@d@example.org:8443/x", "https://example.org:8443/x"),
        ("ssh://git@example.org:2222/x.git", "ssh://git@example.org:2222/x.git"),
        ("ssh://ada:hunter2@example.org/x.git", "ssh://ada@example.org/x.git"),
        ("git@github.com:acme/rocket.git", "git@github.com:acme/rocket.git"),
        ("https://e.org/x?access_token=abc&page=2#top", "https://e.org/x?page=2#top"),
        ("https://e.org/x?a=1%202&X-Amz-Signature=abc", "https://e.org/x?a=1%202"),
        ("https://e.org/x?apiKey=abc&private_token=d", "https://e.org/x"),
        ("https://e.org/cb#id_token=abc&state=1", "https://e.org/cb#state=1"),
        ("https://e.org/?monkey=1&keyboard=2", "https://e.org/?monkey=1&keyboard=2"),
        ("https://ada:pw@[not-an-address/x", "https://[not-an-address/x"),
        ("/srv/git/rocket.git", "/srv/git/rocket.git"),
        ("", ""),
    ],
)
def test_scrub_url(url: str, scrubbed: str) -> None:
    """User, password and secret parameters go; whatever git or a browser needs stays."""
    assert scrub_url(url) == scrubbed


def test_scrub_url_redacts_secrets_in_a_path() -> None:
    """A webhook's address is itself the secret."""
    text, secret = planted.VENDORS["slack webhook"](random.Random(4))
    assert secret not in scrub_url(text)


@given(st.text(string.ascii_letters + string.digits + ":/@?#&=[]%.-_ \n", max_size=60))
@example("https://u:p@[")
@example("https://user@host@[::1]/")
def test_scrub_url_never_fails_and_leaves_no_password(url: str) -> None:
    """Whatever it is given, there is an answer, and a URL in it has no password."""
    scrubbed = scrub_url(url)
    assert scrub_url(scrubbed) == scrubbed
    try:
        assert not urlsplit(scrubbed).password
    except ValueError:
        assert not re.match(r"\w+://[^/?#\s]*:[^/?#\s]*@", scrubbed)
