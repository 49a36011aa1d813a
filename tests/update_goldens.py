"""The digests behind the golden files of rendering; run as a module it writes the files anew.

    python -m tests.update_goldens

They are written with fixed values alone, and so come out the same anywhere.
"""

from __future__ import annotations

from pathlib import Path

from sparky import render
from sparky.model import Digest, Kind, LedgerEntry, Omission, Origin, Section, Status
from tests import factories
from tests.factories import oid, point

FOLDER = Path(__file__).parent / "data" / "render"
FORMS = {"json": render.as_json, "md": render.as_markdown, "html": render.as_html}


def commits(*numbers: int) -> tuple[str, ...]:
    return tuple(f"commit:{oid(number)}" for number in numbers)


def done() -> Digest:
    """A done digest with every section, on a forge with web pages."""
    points = (
        point(
            "The `gauge` option is gone; use `fuel.gauge` in rocket.toml.",
            section=Section.BREAKING,
            cites=("pull_request:118",),
            significance=0.9,
        ),
        point(
            "Tokens in the query of a launch URL are no longer written to the log.",
            section=Section.SECURITY,
            cites=(*commits(4), "issue:97"),
            significance=0.8,
        ),
        point(
            "A launch can be paused and resumed, from the console and with `rocket hold`.",
            section=Section.FEATURES,
            cites=("pull_request:121", *commits(5, 6, 7)),
            significance=0.8,
        ),
        point(
            "Add a Gauge<Level> that rounds to 0.5 % (#119)",
            section=Section.FEATURES,
            cites=commits(8),
            origin=Origin.EXTRACTIVE,
            significance=0.6,
        ),
        *(
            point(
                f"Stage {number} separates at the right height.",
                section=Section.FIXES,
                cites=commits(number),
                significance=0.5 - number / 100,
            )
            for number in range(10, 25)
        ),
        point(
            "fix(fuel): dont trust __level__ from @sensor, see #97 and https://example.org/97",
            section=Section.FIXES,
            cites=commits(9),
            origin=Origin.EXTRACTIVE,
            significance=0.6,
        ),
        point(
            "Plotting a course takes 40 % less time: 1.2 s instead of 2.0 s for 10,000 stars.",
            section=Section.PERFORMANCE,
            cites=commits(26, 27, 28, 29, 30, 31),
            significance=0.6,
        ),
        point(
            "Released v2.0.0",
            section=Section.RELEASES,
            cites=("release:v2.0.0", *commits(40)),
            origin=Origin.RULE,
            significance=0.8,
        ),
        point(
            "The guide explains how to read the gauge.",
            section=Section.DOCUMENTATION,
            cites=commits(32),
            significance=0.3,
        ),
        point(
            "3 dependency updates: httpx 0.28.1, rich 15.0.0, celery 5.7.0",
            section=Section.DEPENDENCIES,
            cites=commits(33, 34, 35),
            origin=Origin.RULE,
            significance=0.2,
        ),
        point(
            "Reverted: Paint the tower white (the change and its revert are both in this window)",
            section=Section.MAINTENANCE,
            cites=commits(36, 37),
            origin=Origin.RULE,
            significance=0.3,
        ),
        point(
            "Überarbeite die Anzeige für Höhe & Tempo",
            section=Section.OTHER,
            cites=commits(38),
            origin=Origin.EXTRACTIVE,
            significance=0.2,
        ),
    )
    return factories.digest(
        revision=2,
        headline="Version 2.0.0 lets a launch be paused and resumed, and no longer logs tokens.",
        headline_cites=("release:v2.0.0", "pull_request:121", *commits(4)),
        points=points,
        stats=factories.stats(
            commits=42,
            merges=3,
            pull_requests=2,
            issues=1,
            releases=1,
            authors=6,
            additions=1204,
            deletions=310,
            files=96,
        ),
        people=(
            factories.contribution("Ada Byron", login="ada", roles={"author": 19, "committer": 21}),
            factories.contribution("Lin Chen", roles={"author": 12, "reviewer": 3}),
            factories.contribution("Max_Weber <max>", roles={"author": 6, "co_author": 1}),
            factories.contribution("Zoë", roles={"committer": 1}),
            factories.contribution(
                "dependabot[bot]", login="dependabot[bot]", bot=True, roles={"author": 3}
            ),
        ),
        ledger=(
            LedgerEntry(
                kind=Kind.COMMIT,
                expected=42,
                fetched=42,
                summarized=38,
                omitted=(
                    *(
                        Omission(key, "merge commit; its commits are counted themselves")
                        for key in commits(41, 42, 43)
                    ),
                    Omission(commits(44)[0], "an empty message"),
                ),
                redacted=2,
            ),
            LedgerEntry(kind=Kind.PULL_REQUEST, expected=2, fetched=2, summarized=2),
            LedgerEntry(kind=Kind.ISSUE, expected=1, fetched=1, summarized=1),
            LedgerEntry(kind=Kind.RELEASE, expected=1, fetched=1, summarized=1),
        ),
        provenance=factories.provenance(
            model="Qwen2.5-Coder-1.5B-Instruct",
            prompt_version="3",
            prompt_tokens=10_400,
            completion_tokens=2_100,
            engine_calls=12,
            cache_hits=3,
        ),
    )


def partial() -> Digest:
    """A partial digest of a local repository, which has no web pages, with no model asked."""
    return factories.digest(
        repo=factories.repo(name="notes_2026", location="/srv/notes", url=None),
        window=factories.window(days=1),
        status=Status.PARTIAL,
        headline="Add the notes of March",
        points=(
            point(
                "Add the notes of March",
                section=Section.OTHER,
                origin=Origin.EXTRACTIVE,
                significance=0.2,
            ),
        ),
        stats=factories.stats(commits=1, merges=0, additions=12, deletions=0),
        ledger=(factories.ledger_entry(expected=5, fetched=2),),
        provenance=factories.provenance(
            engine="none", model="none", prompt_tokens=0, completion_tokens=0, engine_calls=0
        ),
        notes=("The clone is shallow: 3 older commits of the window are missing.",),
    )


DIGESTS = {"done": done, "partial": partial}


def main() -> None:
    """Write every golden file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in DIGESTS.items():
        for ending, form in FORMS.items():
            path = FOLDER / f"{name}.{ending}"
            path.write_text(form(make()), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
