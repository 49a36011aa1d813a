"""What a reader of the Markdown and the HTML sees first, and what is left out."""

from __future__ import annotations

import pytest

from sparky.model import Origin, Status
from sparky.render import as_html, as_markdown, to_document
from tests import factories
from tests.factories import oid


def test_partial_is_said_at_the_top_with_the_reason() -> None:
    """Nobody reads a partial digest without knowing that it is, and why."""
    digest = factories.digest(status=Status.PARTIAL, notes=("The clone is shallow.",))
    head = as_markdown(digest).split("\n\n")[1]
    assert head == "> **This digest is partial.** The clone is shallow."
    assert "This digest is partial." in as_html(digest)


def test_long_sections_are_cut_in_markdown_and_folded_in_html() -> None:
    """Markdown says how many points it leaves out; HTML and JSON have them all."""
    points = tuple(factories.point(f"Point {n} end.", significance=n / 100) for n in range(40))
    digest = factories.digest(points=points)
    markdown, html = as_markdown(digest), as_html(digest)
    assert "\n- … and 28 more\n" in markdown
    assert markdown.index("Point 39 end.") < markdown.index("Point 28 end.")
    assert "Point 27 end." not in markdown
    assert all(f"Point {n} end." in html for n in range(40))
    assert len(to_document(digest)["points"]) == 40


def test_an_endless_text_is_cut() -> None:
    """A title of a hundred thousand letters does not fill a reader's page."""
    digest = factories.digest(points=(factories.point("word " * 20_000),))
    assert len(as_markdown(digest)) < 2_000
    assert len(as_html(digest)) < 12_000
    assert "word…" in as_markdown(digest)


def test_only_extractive_points_are_marked() -> None:
    """A reader can tell an author's words from a model's, and the mark is explained."""
    engine = factories.digest(points=(factories.point("A"), factories.point("B")))
    assert "†" not in as_markdown(engine) + as_html(engine)
    own = factories.digest(points=(factories.point("A", origin=Origin.EXTRACTIVE, cites=()),))
    assert "\n- A †\n\n† The activity's own title" in as_markdown(own)
    assert as_html(own).count("†") == 2


def test_no_model_no_claim_of_one() -> None:
    """A digest that no engine was asked for does not name a model as its writer."""
    made = factories.provenance(engine_calls=0, cache_hits=0)
    assert "no model was asked" in as_markdown(factories.digest(provenance=made))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Fix the gauge", "Fix the gauge"),
        ("Thank @ada for this", "Thank `@ada` for this"),
        ("Ask ada@example.org.", "Ask `ada@example.org`."),
        ("Close #97, see (#98)", "Close [#97](URL/issues/97), see ([#98](URL/issues/98))"),
        ("See acme/tools#3 and GH-4", "See `acme/tools#3` and `GH-4`"),
        ("See https://example.org/a_b_c.", "See `https://example.org/a_b_c`."),
        ("Use `a * b` here", "Use `a * b` here"),
        ("Add Vec<String> and __init__", "Add `Vec<String>` and `__init__`"),
        ("Rename load_all to read_all()", "Rename load_all to read_all()"),
        ("[core] Drop names[0] (again)", r"\[core\] Drop `names[0]` (again)"),
        ("- not a list", r"\- not a list"),
        ("1. not a list", r"1\. not a list"),
        ("# not a title", "`#` not a title"),
        ("a < b && c > d", "a `<` b && c > d"),
        ("AT&T, R & D, &amp;", "AT&T, R & D, `&amp;`"),
        ("Pick v1-0a1b2c3 and g/p!5", "Pick `v1-0a1b2c3` and `g/p!5`"),
        ("one `tick", "one `` `tick ``"),
        (f"Revert {oid(1)}", f"Revert `{oid(1)}`"),
        (f"At {oid(1)}; see &amp;", f"At `{oid(1)}`; see `&amp;`"),
        ("two\nlines  \t here", "two lines here"),
    ],
)
def test_markdown_of_a_text(text: str, shown: str) -> None:
    """What a forge would act upon is code, what it would link Sparky links, the rest is as it was."""
    page = "https://github.com/acme/rocket"
    markdown = as_markdown(factories.digest(points=(factories.point(text, cites=()),)))
    assert f"\n- {shown.replace('URL', page)}\n" in markdown
