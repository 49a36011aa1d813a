"""Why a digest says what it says."""

from __future__ import annotations

from sparky.cli.explain import cites, explanation
from sparky.model import Kind
from tests import factories


def test_each_point_stands_with_the_titles_that_prove_it() -> None:
    fix = factories.commit(1, "fix: right the fuel gauge")
    digest = factories.digest(points=(factories.point("The gauge is right.", cites=(fix.key,)),))
    lines = explanation(digest, {fix.key: fix}).splitlines()
    at = lines.index("The gauge is right.")
    assert lines[at + 2] == f"  commit {factories.oid(1)[:12]}: fix: right the fuel gauge"
    assert lines[at + 3].startswith("    significance 0.")
    assert ": fix: " in lines[at + 3]


def test_proof_that_is_not_stored_any_more_is_told() -> None:
    said = explanation(factories.digest(), {})
    assert f"commit {factories.oid(1)[:12]}: not stored any more" in said


def test_what_no_point_speaks_of_stands_with_its_reason() -> None:
    entry = factories.ledger_entry(Kind.COMMIT, omitted=(factories.omission(2, "merge"),))
    said = explanation(factories.digest(ledger=(entry,)), {})
    assert said.endswith(f"Not spoken of:\n  commit {factories.oid(2)[:12]}: merge")


def test_a_proof_of_several_points_is_looked_up_once() -> None:
    one, two = f"commit:{factories.oid(1)}", "release:v1"
    points = (factories.point(cites=(one, two)), factories.point(cites=(two,)))
    assert cites(factories.digest(points=points)) == (one, two)
