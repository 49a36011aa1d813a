"""A Digest as Markdown that reads well as text, too.

Nothing in a text from outside comes to life. A word that Markdown or a forge would make a link, a
mention, a reference or markup of is shown as code: in code a forge notifies nobody and links
nothing, which no backslash can promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sparky.model import Contribution, Digest, Origin, Point, Status
from sparky.render import wording
from sparky.render.inline import Form, Piece, pieces, plain
from sparky.render.links import Link, Links, links

POINTS = 12
"""Points of a section that are shown."""
CITES = 4
"""Cites of a point that are shown."""
PEOPLE = 12

START = re.compile(r"([-+=#>:~]|\d{1,9}[.)])")
"""What makes a block of Markdown at the beginning of a line."""


def as_markdown(digest: Digest) -> str:
    """The digest as CommonMark, for a person to read."""
    return "\n\n".join(_blocks(digest)) + "\n"


def _blocks(digest: Digest) -> Iterator[str]:
    to = links(digest.repo)
    name = _inline(digest.repo.name, Links(None, None)) or "repository"  # no link within a link
    yield f"# {f'[{name}]({to.page})' if to.page else name}, {wording.period(digest.window)}"
    if digest.status is Status.PARTIAL:
        yield f"> **This digest is partial.** {_inline(wording.incomplete(digest), to)}"
    if digest.headline:
        yield f"**{_inline(digest.headline, to)}**{_cites(digest.headline_cites, to)}"
    yield f"{wording.facts(digest.stats)}."
    if digest.status is Status.DONE and digest.notes:
        yield f"> {_inline(' '.join(digest.notes), to)}"
    for title, points in wording.sections(digest.points):
        yield f"## {title}"
        yield "\n".join(_points(points, to))
    if wording.is_quoted(digest.points):
        yield f"† {wording.OWN_WORDS}"
    if digest.people:
        yield "## People"
        yield _people(digest.people, to)
    yield "---"
    if ledger := " ".join(wording.accounts(digest.ledger)):
        yield _inline(ledger, to)
    yield _inline(_footer(digest), to)


def _points(points: Sequence[Point], to: Links) -> Iterator[str]:
    for point in points[:POINTS]:
        mark = " †" if point.origin is Origin.EXTRACTIVE else ""
        yield f"- {_inline(point.text, to)}{mark}{_cites(point.cites, to)}"
    if len(points) > POINTS:
        yield f"- … and {len(points) - POINTS:,} more"


def _cites(cites: Sequence[str], to: Links) -> str:
    if not cites:
        return ""
    shown = [_link(to.cite(key)) for key in cites[:CITES]]
    if len(cites) > CITES:
        shown.append(f"{len(cites) - CITES:,} more")
    return f" ({', '.join(shown)})"


def _link(link: Link) -> str:
    if link.url is None:
        return _code(plain(link.text))
    text = _code(link.text) if "@" in link.text else link.text
    return f"[{text}]({link.url})"


def _people(people: Sequence[Contribution], to: Links) -> str:
    told = []
    for person in people[:PEOPLE]:
        name = _inline(person.name or person.login or "somebody", to)
        did = ", ".join(filter(None, ("bot" if person.bot else "", wording.parts(person))))
        told.append(f"{name} ({did})" if did else name)
    if len(people) > PEOPLE:
        told.append(f"{len(people) - PEOPLE:,} more")
    return " · ".join(told)


def _footer(digest: Digest) -> str:
    revision = f", revision {digest.revision}" if digest.revision > 1 else ""
    return f"{wording.span(digest.window)}{revision}. {wording.provenance(digest.provenance)}"


def _inline(text: str, to: Links) -> str:
    """A text from outside as Markdown that shows it and does nothing else."""
    shown: list[str] = []
    code = ""
    for piece in [*pieces(text), Piece("", Form.TEXT)]:
        if piece.form in (Form.CODE, Form.GUARDED):
            # Two spans of code side by side would run into each other.
            code += piece.text
            continue
        if code:
            shown.append(_code(code))
            code = ""
        if piece.form is Form.REFERENCE:
            url = to.reference(piece.text[1:])
            if url is None:
                code = piece.text
            else:
                shown.append(f"[{piece.text}]({url})")
        else:
            shown.append(re.sub(r"[\[\]]", r"\\\g<0>", piece.text))
    line = "".join(shown)
    return START.sub(_escaped, line, count=1) if START.match(line) else line


def _escaped(start: re.Match[str]) -> str:
    return start[1][:-1] + "\\" + start[1][-1]


def _code(text: str) -> str:
    """The text as a span of code, whatever backticks it holds."""
    text = text.strip() or "…"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"
