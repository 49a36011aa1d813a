"""Made-up secrets for tests: drawn at random from the rules' patterns and from vendors' formats.

They are made when a test runs, from a fixed seed; no file of the repository holds one.
"""

from __future__ import annotations

import base64
import importlib
import json
import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparky.redact import Rule

# The standard library's own parser of patterns; it has no public name.
_parser = importlib.import_module("re._parser")

CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.ascii_letters + string.digits + "_",
    "CATEGORY_SPACE": " \t\n",
}
PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "

CONTEXTS = (
    "{}",
    "Fix the login\n\n{}\n\nSigned-off-by: Ada Byron <ada@example.org>",
    "Rotate the key ({}) after the leak",
    "ci: do not print {}, mask it",
    "The job failed with this in its log:\n\n    {}\n\nso quiet it.",
    "Merge branch 'fix'\n\n* fix:\n  Remove `{}`\n  Bump version to 1.2.3",
    'Revert "{}"\n\nThis reverts commit 0f3e5a7c1d9b2e4f6a8c0d1e3f5a7b9c1d3e5f7a.',
    "diff --git a/.env b/.env\n--- a/.env\n+++ b/.env\n@@ -1,2 +1,2 @@\n-{}\n+# gone\n",
    "<p>see {}</p>",
    "Use {}.",
)
"""Real-looking places; none puts a letter, digit, underscore or hyphen next to the secret."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A text with a secret in it."""

    kind: str
    text: str
    secret: str


def from_rules(rules: Sequence[Rule], *, each: int, seed: int) -> Iterator[Planted]:
    """For every rule `each` texts, with what its pattern describes drawn at random."""
    draw = random.Random(seed)
    for rule in rules:
        pattern = re.compile(rule.pattern, re.ASCII)
        tree = _parser.parse(rule.pattern, re.ASCII)
        for _ in range(each):
            text, match = "", None
            while match is None:
                # What a pattern only asserts about its neighbours, such as \b, is met by trying.
                text = "".join(_drawn(tree, draw))
                match = pattern.search(text)
            secret = match.group(match.lastindex or 0)
            if not any(keyword in text.lower() for keyword in rule.keywords):
                text = f"{rule.keywords[0]} {text}"
            yield Planted(rule.id, draw.choice(CONTEXTS).format(text), secret)


def _drawn(tree: Any, draw: random.Random) -> Iterator[str]:  # noqa: C901 - one case an operator
    """A random text that the parsed pattern describes, in pieces."""
    for operator, value in tree:
        match operator.name:
            case "LITERAL":
                yield chr(value)
            case "ANY" | "NOT_LITERAL":
                yield draw.choice(PRINTABLE)
            case "IN":
                yield draw.choice(_members(value))
            case "BRANCH":
                yield from _drawn(draw.choice(value[1]), draw)
            case "SUBPATTERN":
                yield from _drawn(value[-1], draw)
            case "ATOMIC_GROUP":
                yield from _drawn(value, draw)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, repeated = value
                times = draw.randint(least, min(int(most), least + 24))
                if len(repeated) == 1 and repeated[0][0].name == "IN":
                    yield from draw.choices(_members(repeated[0][1]), k=times)
                else:
                    for _ in range(times):
                        yield from _drawn(repeated, draw)
            case "ASSERT":
                yield from _drawn(value[1], draw)
            case "AT" | "ASSERT_NOT":
                pass
            case other:
                raise NotImplementedError(other)


def _members(items: Any) -> str:
    """The characters of a class."""
    members: set[str] = set()
    negated = False
    for operator, value in items:
        match operator.name:
            case "NEGATE":
                negated = True
            case "LITERAL":
                members.add(chr(value))
            case "RANGE":
                members.update(map(chr, range(value[0], value[1] + 1)))
            case "CATEGORY" if value.name.startswith("CATEGORY_NOT_"):
                members.update(set(PRINTABLE) - set(CATEGORIES[value.name.replace("NOT_", "")]))
            case "CATEGORY":
                members.update(CATEGORIES[value.name])
            case other:
                raise NotImplementedError(other)
    return "".join(sorted(set(PRINTABLE) - members if negated else members))


def from_vendors(*, each: int, seed: int) -> Iterator[Planted]:
    """Secrets in the forms that their makers document, in places where people leave them."""
    draw = random.Random(seed)
    for kind, make in VENDORS.items():
        for _ in range(each):
            text, secret = make(draw)
            yield Planted(kind, draw.choice(CONTEXTS).format(text), secret)


def _run(draw: random.Random, length: int, characters: str) -> str:
    return "".join(draw.choice(characters) for _ in range(length))


LETTERS = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"
URL64 = LETTERS + "-_"
BASE64 = LETTERS + "+/"


def _token(prefix: str, length: int, characters: str) -> Callable[[random.Random], tuple[str, str]]:
    """A token by itself: a prefix and a run of random characters."""

    def make(draw: random.Random) -> tuple[str, str]:
        secret = prefix + _run(draw, length, characters)
        return secret, secret

    return make


def _within(
    template: str, secret: Callable[[random.Random], str]
) -> Callable[[random.Random], tuple[str, str]]:
    """A secret in its place."""

    def make(draw: random.Random) -> tuple[str, str]:
        value = secret(draw)
        return template.replace("◆", value), value

    return make


def _value(length: int, characters: str) -> Callable[[random.Random], str]:
    return lambda draw: _run(draw, length, characters)


def _jwt(draw: random.Random) -> str:
    parts = ({"alg": "HS256", "typ": "JWT"}, {"sub": _run(draw, 12, LOWER), "iat": 1767225600})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*(part.rstrip("=") for part in encoded), _run(draw, 43, URL64)])


def _basic(draw: random.Random) -> str:
    return base64.b64encode(f"ada:{_run(draw, 12, LETTERS)}".encode()).decode()


def _private_key(draw: random.Random) -> tuple[str, str]:
    kind = draw.choice(["RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", ""]) + "PRIVATE KEY"
    lines = [_run(draw, 64, BASE64) for _ in range(draw.randint(3, 25))]
    dashes = "-" * 5
    block = [f"{dashes}BEGIN {kind}{dashes}", *lines, f"{dashes}END {kind}{dashes}"]
    return draw.choice(["\n", "\\n", "\r\n", "\n+"]).join(block), draw.choice(lines)


VENDORS: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "github classic": _token("ghp_", 36, LETTERS),
    "github oauth": _token("gho_", 36, LETTERS),
    "github user to server": _token("ghu_", 36, LETTERS),
    "github installation": _token("ghs_", 36, LETTERS),
    "github installation, newer": lambda draw: (
        (secret := f"ghs_{draw.randint(10_000, 9_999_999)}_{_jwt(draw)}"),
        secret,
    ),
    "github refresh": _token("ghr_", 76, LETTERS),
    "github fine-grained": lambda draw: (
        (secret := f"github_pat_{_run(draw, 22, LETTERS)}_{_run(draw, 59, LETTERS)}"),
        secret,
    ),
    "gitlab personal": _token("glpat-", 20, URL64),
    "gitlab routable": lambda draw: (
        (secret := f"glpat-{_run(draw, 27, URL64)}.01.{_run(draw, 9, LOWER)}"),
        secret,
    ),
    "gitlab runner": _token("glrt-", 20, URL64),
    "gitlab deploy": _token("gldt-", 20, URL64),
    "aws access key": _token("AKIA", 16, string.ascii_uppercase + "234567"),
    "aws secret": _within("aws_secret_access_key = ◆", _value(40, BASE64)),
    "aws session": _within('"SessionToken": "◆"', _value(360, BASE64)),
    "google api": _token("AIza", 35, URL64),
    "google client secret": _token("GOCSPX-", 28, URL64),
    "google access": _token("ya29.a0", 160, URL64),
    "google refresh": _token("1//0", 60, URL64),
    "azure storage": _within(
        "DefaultEndpointsProtocol=https;AccountName=acme;AccountKey=◆==;"
        "EndpointSuffix=core.windows.net",
        _value(86, BASE64),
    ),
    "azure service bus": _within(
        "Endpoint=sb://acme.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=◆=",
        _value(43, BASE64),
    ),
    "azure signature": _within(
        "https://acme.blob.core.windows.net/c/f?sv=2024-01-01&sig=◆%3D", _value(43, LETTERS)
    ),
    "azure client secret": lambda draw: (
        (secret := f"{_run(draw, 3, LETTERS)}8Q~{_run(draw, 33, URL64)}"),
        secret,
    ),
    "slack bot": lambda draw: (
        (
            secret := "-".join(
                [
                    "xoxb",
                    _run(draw, 12, "123456789"),
                    _run(draw, 12, HEX[1:10]),
                    _run(draw, 24, LETTERS),
                ]
            )
        ),
        secret,
    ),
    "slack app": lambda draw: (
        (
            secret
            := f"xapp-1-A{_run(draw, 10, '0123456789ABCDEF')}-{_run(draw, 13, HEX[1:10])}-{_run(draw, 64, HEX)}"
        ),
        secret,
    ),
    "slack webhook": _within(
        "https://hooks.slack.com/services/◆",
        lambda draw: "/".join(
            ["T" + _run(draw, 10, LETTERS), "B" + _run(draw, 10, LETTERS), _run(draw, 24, LETTERS)]
        ),
    ),
    "stripe": _token("sk_live_", 24, LETTERS),
    "stripe restricted": _token("rk_live_", 99, LETTERS),
    "stripe webhook": _token("whsec_", 32, LETTERS),
    "npm": _token("npm_", 36, LETTERS),
    "npmrc": _within("//registry.example.org/:_authToken=◆", _value(36, LETTERS)),
    "python package": _token("pypi-AgEI", 160, URL64),
    "rubygems": _token("rubygems_", 48, HEX),
    "nuget": _token("oy2", 43, LOWER),
    "docker hub": _token("dckr_pat_", 27, URL64),
    "docker config": _within('{"auths": {"r.example.org": {"auth": "◆"}}}', _basic),
    "hugging face": _token("hf_", 34, LETTERS),
    "openai": _token("sk-", 48, LETTERS),
    "openai project": lambda draw: (
        (secret := f"sk-proj-{_run(draw, 74, URL64)}T3BlbkFJ{_run(draw, 73, URL64)}"),
        secret,
    ),
    "anthropic": lambda draw: ((secret := f"sk-ant-api03-{_run(draw, 93, URL64)}AA"), secret),
    "telegram": lambda draw: (
        (secret := f"{draw.randint(10**8, 10**10 - 1)}:AA{_run(draw, 32, URL64)}"),
        secret,
    ),
    "discord": _within(
        "DISCORD_TOKEN=◆",
        lambda draw: f"MT{_run(draw, 24, LETTERS)}.G{_run(draw, 5, URL64)}.{_run(draw, 37, URL64)}",
    ),
    "discord webhook": _within(
        "https://discord.com/api/webhooks/123456789012345678/◆", _value(68, URL64)
    ),
    "twilio": _within("twilio.auth_token: ◆", _value(32, HEX)),
    "sendgrid": lambda draw: (
        (secret := f"SG.{_run(draw, 22, URL64)}.{_run(draw, 42, URL64)}"),
        secret,
    ),
    "vault": _token("hvs.", 95, URL64),
    "digitalocean": _token("dop_v1_", 64, HEX),
    "databricks": _token("dapi", 32, HEX),
    "grafana": lambda draw: (
        (secret := f"glsa_{_run(draw, 32, LETTERS)}_{_run(draw, 8, HEX)}"),
        secret,
    ),
    "atlassian": _token("ATATT3xFfGF0", 180, URL64),
    "web token": lambda draw: ((secret := _jwt(draw)), secret),
    "private key": _private_key,
    "url password": _within("postgresql://ada:◆@db.example.org:5432/app", _value(12, LETTERS)),
    "url password with marks": _within(
        "git clone https://ada:◆@example.org/x.git", _value(14, LETTERS + "!$%&*+,;=@")
    ),
    "url token": _within("https://◆@example.org/x.git", _value(40, LETTERS)),
    "url parameter": _within("https://example.org/a?x=1&access_token=◆&y=2", _value(30, LETTERS)),
    "bearer": _within("Authorization: Bearer ◆", _value(40, URL64)),
    "bearer in curl": _within("curl -H 'Authorization: Bearer ◆' https://e.org", _value(32, HEX)),
    "basic": _within('"Authorization": "Basic ◆"', _basic),
    "curl user": _within("curl -u ada:◆ https://example.org/", _value(12, LETTERS)),
    "environment": _within("export PGPASSWORD=◆", _value(9, LETTERS)),
    "yaml password": _within("password: ◆", _value(12, LETTERS + "!$%&*+")),
    "json secret": _within('"client_secret": "◆"', _value(32, LETTERS)),
    "django": _within("DJANGO_KEY_SECRET = '◆'", _value(50, LOWER)),
    "api key": _within("api_key=◆", _value(32, HEX)),
    "header": _within("X-Api-Key: ◆", _value(40, LETTERS)),
    "ado": _within("Server=db;User Id=sa;Password=◆;Encrypt=true", _value(14, LETTERS + "!#")),
    "netrc": _within("machine example.org login ada password ◆", _value(14, LETTERS)),
    "sshpass": _within("sshpass -p ◆ ssh ada@example.org", _value(10, LETTERS)),
    "flag": _within("deploy --token ◆ --force", _value(30, LETTERS)),
}
