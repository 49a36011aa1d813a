"""Port betterleaks' rules into sparky/redact_ported.toml.

    python tools/port_rules.py path/to/betterleaks.toml VERSION COMMIT > sparky/redact_ported.toml

Only data is taken over: ids, patterns, keywords, entropy thresholds. What this does to them:

* Go's RE2 syntax becomes Python's: a flag in mid-pattern gets its own group, `\\z` and `$` become
  `\\Z`, POSIX classes are written out. The patterns are meant for `re.ASCII`, as RE2's are.
* Only the group that holds the secret is kept as a group.
* The many patterns of the form "name, operator, value" become a `name` and a `value`; what stands
  between them is the same for all and lives in sparky/redact.py. There it is possessive, and the
  list of characters that may follow a value becomes "no more of the same word", so that no input
  makes a pattern backtrack far, and a secret before a full stop or a bracket is found, too.
* Entropy thresholds are capped: in a redactor a miss costs more than a false alarm, and a random
  hexadecimal value of 32 digits falls below 3.5 bits one time in ten.
* Rules for values that a service names, such as `travis: <22 letters or digits>`, ask for a digit
  where a random value has one 99 times in 100, so that plain words stay.
* Rules in DROPPED are left out, with their reasons.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PUBLIC = "a public identifier, name or host, not a secret"
BY_PATH = "needs the path of a file, which a message does not have"
SLOW = "its pattern backtracks too far on hostile input; "
DROPPED = {
    "adobe-client-id": PUBLIC,
    "aikido-client-id": PUBLIC,
    "alibaba-access-key-id": PUBLIC,
    "alibaba-sts-access-key-id": PUBLIC,
    "artifactory-jfrog-url": PUBLIC,
    "asana-client-id": PUBLIC,
    "azure-client-id": PUBLIC,
    "azure-storage-account-name": PUBLIC,
    "azure-tenant-id": PUBLIC,
    "bitbucket-client-id": PUBLIC,
    "canva-client-id": PUBLIC,
    "clickhouse-cloud-key-id": PUBLIC,
    "cloudinary-api-key": PUBLIC,
    "cloudinary-cloud-name": PUBLIC,
    "discord-client-id": PUBLIC,
    "ebay-client-id": PUBLIC,
    "lark-app-id": PUBLIC,
    "linkedin-client-id": PUBLIC,
    "looker-client-id": PUBLIC,
    "messagebird-client-id": PUBLIC,
    "mongodb-atlas-service-account-id": PUBLIC,
    "planetscale-id": PUBLIC,
    "plaid-client-id": PUBLIC,
    "plivo-auth-id": PUBLIC,
    "polymarket-address": PUBLIC,
    "ramp-client-id": PUBLIC,
    "salesforce-instance-url.1": PUBLIC,
    "sendbird-access-id": PUBLIC,
    "snowflake-account-host.1": PUBLIC,
    "sumologic-access-id": PUBLIC,
    "supabase-project-url": PUBLIC,
    "tableau-personal-access-token-name.1": PUBLIC,
    "tableau-server-host.1": PUBLIC,
    "flutterwave-public-key": PUBLIC,
    "mailgun-pub-key": PUBLIC,
    "pkcs12-file": BY_PATH,
    "freemius-secret-key": BY_PATH,
    "hashicorp-tf-password": BY_PATH,
    "kubernetes-secret-yaml": BY_PATH,
    "nuget-config-password": BY_PATH,
    "private-key": SLOW + "see private-key in redact_rules.toml",
    "mongodb-connection-string": SLOW + "see url-password in redact_rules.toml",
    "curl-auth-header": SLOW + "see authorization-header in redact_rules.toml",
    "curl-auth-user": SLOW + "see curl-user in redact_rules.toml",
    "gcp-application-default-credentials": SLOW + "see secret-assignment in redact_rules.toml",
    "gcp-service-account": SLOW + "see private-key in redact_rules.toml",
    "temporal-cloud-api-key.1": SLOW + "each of its values is a jwt",
    "generic-api-key": "it lives from a list of 1500 words; see secret-assignment in redact_rules.toml",
}
REWRITTEN = {
    # Two lazy gaps in a row become one.
    "amplitude-secret-key": {"pattern": r"(?i:amplitude)[\s\S]{0,48}?\b([a-f0-9]{32})(?![\w-])"},
    "bitly-access-token": {"pattern": r"(?i:bitly)[\s\S]{0,64}?\b([a-f0-9]{40})(?![\w-])"},
    "cloudinary-api-secret": {
        "pattern": r"(?i:cloudinary)[\s\S]{0,64}?\b([A-Za-z0-9]{32})(?![\w-])"
    },
    "couchbase-capella-api-key": {
        "pattern": r"(?i:couchbase|capella)[\s\S]{0,64}?(?<![\w+/])([A-Za-z0-9+/]{60,120}+={0,2})"
    },
    "influxdb-api-token": {
        "pattern": r"(?i:influx)[\s\S]{0,64}?(?<![\w+/=-])([\w+/=-]{88,})",
    },
    # Its groups only repeat; the whole address is the secret.
    "microsoft-teams-webhook": {
        "pattern": r"https://[a-z0-9]+\.webhook\.office\.com/webhookb2/[a-z0-9-]{36}@[a-z0-9-]{36}"
        r"/IncomingWebhook/[a-z0-9]{32}/[a-z0-9-]{36}"
    },
    # Its dots stand for themselves.
    "slack-webhook-url": {
        "pattern": r"hooks\.slack\.com/(?:services|workflows|triggers)/[A-Za-z0-9+/]{43,56}"
    },
    # A removed line of a diff puts a hyphen before it.
    "asaas-api-token": {"pattern": r"\$aact_(?:prod|hmlg)_[A-Za-z0-9_-]{20,100}"},
    "azure-ad-client-secret": {
        "pattern": r"(?<![\w~.])([a-zA-Z0-9_~.]{3}\dQ~[a-zA-Z0-9_~.-]{30,33}[\w~-])(?![\w~-])"
    },
    # As its keyword has it; the first part may hold the two signs of its alphabet, too.
    "jwt": {"pattern": r"\b(eyJ[\w-]{16,}\.ey[\w\\/-]{17,}\.(?:[\w\\/-]{10,}={0,2})?)(?![\w-])"},
    # A commit's oid is forty hexadecimal digits as well.
    "aws-secret-access-key": {
        "name": "secret|access|key|token",
        "value": r"(?![0-9a-fA-F]{40})[A-Za-z0-9/+=]{40}(?![/+=])",
    },
    # Its second half is in redact_rules.toml.
    "atlassian-api-token": {
        "name": "atlassian|confluence|jira",
        "value": "[a-z0-9]{20}[a-f0-9]{4}",
    },
    # The mark of a short-lived key; the key itself follows it.
    "aws-amazon-bedrock-api-key-short-lived": {
        "pattern": r"bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t[A-Za-z0-9+/]*={0,2}"
    },
}
SECRET_GROUP = {"azure-app-configuration-connection-string": 3, "sonar-api-token": 2}
ENTROPY_CAP = 3.0
ENTROPY = {"aws-secret-access-key": 4.0}

GAP = r"""(?:[ \t\w.-]{0,20})[\s'"]{0,3}"""
OPERATOR = r"""(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}"""
TAIL = r"""(?:\\?['"\x60]|[\s;]|\\[nr]|$)"""
ASSIGNMENT = re.compile(
    rf"(?:\(\?i\)(?P<name1>.+){re.escape(GAP)}|\(\?i:(?P<name2>.+){re.escape(GAP)}\))"
    rf"{re.escape(OPERATOR)}\((?P<value>.+)\){re.escape(TAIL)}"
)


def pieces(pattern: str) -> Iterator[str]:
    """The pattern in pieces: escapes, whole classes, openings of groups, single characters."""
    syntax = re.compile(
        r"\\x[0-9a-fA-F]{2}|\\.|\[\^?\]?(?:\[:\w+:\]|\\.|[^\]])*\]"
        r"|\(\?P<\w+>|\(\?[a-z-]*:|\(\?[a-z-]+\)|.",
        re.DOTALL,
    )
    return (match.group() for match in syntax.finditer(pattern))


def translate(pattern: str, keep: int) -> str:
    """The pattern in Python's syntax, with no group but the outermost ones from `keep` on."""
    out: list[str] = []
    flags: list[list[str]] = [[]]  # per open group: the flags that are switched on in it
    captures: list[bool] = []
    number = 0
    for piece in pieces(pattern):
        if re.fullmatch(r"\(\?[a-z-]+\)", piece):
            flags[-1].append(piece[:-1] + ":")
            out.append(flags[-1][-1])
        elif piece == "(" or piece.startswith("(?P<"):
            number += 1
            kept = number >= keep and not any(captures) and piece == "("
            captures.append(kept)
            flags.append([])
            out.append("(" if kept else "(?:")
        elif piece.startswith("(?"):
            captures.append(False)
            flags.append([])
            out.append(piece)
        elif piece == ")":
            out.append(")" * len(flags.pop()) + ")")
            captures.pop()
        elif piece == "|":
            out.append(")" * len(flags[-1]) + "|" + "".join(flags[-1]))
        elif piece in ("$", r"\z"):
            out.append(r"\Z")
        elif piece.startswith("["):
            out.append(piece.replace("[:alnum:]", "0-9A-Za-z"))
        else:
            out.append(piece)
    return "".join(out) + ")" * len(flags.pop())


def convert(rule: dict[str, Any]) -> dict[str, str]:
    """The rule as Sparky uses it: a `pattern`, or the `name` and `value` of an assignment."""
    if rule["id"] in REWRITTEN:
        return REWRITTEN[rule["id"]]
    pattern: str = rule["regex"].replace(r"(?:.|[\n\r])", r"[\s\S]")
    assignment = ASSIGNMENT.fullmatch(pattern)
    if assignment and TAIL not in assignment["value"]:
        name, value = assignment["name1"] or assignment["name2"], assignment["value"]
        name = translate(name, keep=99)
        name = name[3:-1] if re.fullmatch(r"\(\?:[^()]*\)", name) else name
        value = translate(value, keep=99)
        return {"name": name, "value": f"(?i:{value})" if assignment["name1"] else value}
    pattern = pattern.replace(TAIL, "(?:TAIL)")
    pattern = translate(pattern, SECRET_GROUP.get(rule["id"], 1))
    return {"pattern": pattern.replace("(?:TAIL)", r"(?![\w-])")}


def entropy(rule: dict[str, Any]) -> float | None:
    """What a secret's entropy (bits a character) must be above."""
    if rule["id"] in ENTROPY:
        return ENTROPY[rule["id"]]
    found = re.search(r'entropy\(finding\["secret"\]\) <=? (\d+(?:\.\d+)?)', rule.get("filter", ""))
    return min(float(found[1]), ENTROPY_CAP) if found else None


def wants_digit(value: str) -> bool:
    """Whether a word could be taken for the value, and a random value nearly always has a digit."""
    run = re.fullmatch(r"(\(\?i:)?\[([^\]]+)\]\{(\d+)(?:,\d+)?\}\)?", value)
    if run is None or "0-9" not in run[2] or "a-z" not in run[2].lower():
        return False
    letters = 52 if "a-z" in run[2] and "A-Z" in run[2] else 26
    return (letters / (10 + letters)) ** int(run[3]) < 0.01


def ported(rules: list[dict[str, Any]]) -> Iterator[str]:
    """Each kept rule as a TOML table."""
    for rule in rules:
        if rule["id"] in DROPPED:
            continue
        found = convert(rule)
        yield "\n[[rule]]"
        yield f"id = {json.dumps(re.sub(r'[.]([0-9]+)$', r'', rule['id']))}"
        for key, pattern in found.items():
            re.compile(pattern, re.ASCII)
            quotes = "'''" if "'" in pattern else "'"
            yield f"{key} = {quotes}{pattern}{quotes}"
        yield f"keywords = {json.dumps(rule['keywords'])}"
        if (threshold := entropy(rule)) is not None:
            yield f"entropy = {threshold}"
        if wants_digit(found.get("value", "")):
            yield "digit = true"


def header(version: str, commit: str, kept: int, total: int) -> Iterator[str]:
    """Where the rules come from, under which licence, and what was left out."""
    yield f"""\
# Rules for secrets, ported as data from betterleaks {version}, {kept} of its {total} rules.
# Made by tools/port_rules.py, which says what is changed on the way; do not edit by hand.
#
# Origin:  https://github.com/betterleaks/betterleaks, config/betterleaks.toml
# Commit:  {commit}
# Licence: MIT, and this notice:
#
#   MIT License. Copyright (c) 2026 Zachary Rice
#
#   Permission is hereby granted, free of charge, to any person obtaining a copy of this software
#   and associated documentation files (the "Software"), to deal in the Software without
#   restriction, including without limitation the rights to use, copy, modify, merge, publish,
#   distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
#   Software is furnished to do so, subject to the following conditions:
#
#   The above copyright notice and this permission notice shall be included in all copies or
#   substantial portions of the Software.
#
#   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING
#   BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
#   NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
#   DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
#   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
#
# Left out, and why:"""
    reasons: dict[str, list[str]] = {}
    for name, reason in DROPPED.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        yield f"#   {reason}:"
        line = "#    "
        for name in sorted(names):
            if len(line) + len(name) > 98:
                yield line
                line = "#    "
            line += f" {name}"
        yield line


def main() -> None:
    path, version, commit = sys.argv[1:]
    rules = tomllib.loads(Path(path).read_text("utf-8"))["rules"]
    unknown = (DROPPED.keys() | REWRITTEN.keys()) - {rule["id"] for rule in rules}
    if unknown:
        raise SystemExit(f"these rules are gone from {path}: {', '.join(sorted(unknown))}")
    kept = len(rules) - len(DROPPED)
    lines = [*header(version, commit, kept, len(rules)), *ported(rules)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
