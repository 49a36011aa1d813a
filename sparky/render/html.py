"""A Digest as one page of HTML: no script, nothing from elsewhere, light and dark."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from sparky.model import Contribution, Digest, Origin, Status
from sparky.render import wording
from sparky.render.inline import Form, pieces, plain
from sparky.render.links import Link, Links, links

POINTS = 8
"""Points of a section that are shown before a reader asks for more."""
CITES = 6
PEOPLE = 24


def as_html(digest: Digest) -> str:
    """The digest as a self-contained page."""
    to = links(digest.repo)
    return _template().render(
        digest=digest,
        to=to,
        wording=wording,
        name=plain(digest.repo.name),
        partial=digest.status is Status.PARTIAL,
        sections=list(wording.sections(digest.points)),
        accounts=list(wording.accounts(digest.ledger)),
        omitted=[omission for entry in digest.ledger for omission in entry.omitted],
        extractive=Origin.EXTRACTIVE,
        inline=lambda text: _inline(text, to),
        cites=lambda keys: _cites(keys, to),
        who=_who,
        style=Markup(_style()),  # noqa: S704 - our own file
        style_hash=base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode(),
        most_points=POINTS,
        most_people=PEOPLE,
    )


def _inline(text: str, to: Links) -> Markup:
    """A text from outside, escaped, with its code as code and its references as links."""
    shown = Markup()
    for piece in pieces(text):
        url = to.reference(piece.text[1:]) if piece.form is Form.REFERENCE else None
        if piece.form is Form.CODE:
            shown += Markup("<code>{}</code>").format(piece.text)
        else:
            shown += _anchor(Link(piece.text, url))
    return shown


def _cites(keys: Sequence[str], to: Links) -> Markup:
    shown = [
        Markup('<span class="cite">{}</span>').format(_anchor(_short(to.cite(key))))
        for key in keys[:CITES]
    ]
    if len(keys) > CITES:
        shown.append(Markup("{} more").format(f"{len(keys) - CITES:,}"))
    return Markup(" ").join(shown)


def _short(link: Link) -> Link:
    return Link(plain(link.text)[:60], link.url)


def _anchor(link: Link) -> Markup:
    if link.url is None:
        return Markup("{}").format(link.text)
    return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(link.url, link.text)


def _who(person: Contribution) -> str:
    return plain(person.name) or plain(person.login or "") or "somebody"


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        loader=FunctionLoader(_file),
    )
    return environment.get_template("digest.html")


@cache
def _style() -> str:
    return _file("digest.css")


def _file(name: str) -> str:
    return files("sparky").joinpath("templates", name).read_text("utf-8")
