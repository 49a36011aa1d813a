"""How often the derived kind of change is the one a reader gave: `measure.py CLONES`.

CLONES is a folder with bare or full clones named `owner__name.git`; only those there are measured.
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sparky import changes
from sparky.model import Activity, Credit, FileChange, Kind, Person, Role

LABELS = Path(__file__).with_name("labels.tsv")
_FORMAT = "%an%x00%ae%x00%P%x00%cI%x00%s%x00%b%x00"


def labels() -> list[dict[str, str]]:
    """Rows of `labels.tsv`: repo, oid, part, label, also."""
    with LABELS.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def commit(clone: Path, oid: str) -> Activity:
    """One commit as an activity."""
    shown = subprocess.run(
        ["git", f"--git-dir={clone}", "show", "--numstat", f"--format={_FORMAT}", oid],
        capture_output=True,
        check=True,
    ).stdout.decode(errors="replace")
    name, email, parents, at, title, body, numstat = shown.split("\0")
    person = Person(name, email, bot="[bot]" in name)
    return Activity(
        key=f"commit:{oid}",
        kind=Kind.COMMIT,
        at=datetime.fromisoformat(at),
        title=title,
        body=body.strip(),
        credits=(Credit(person, Role.AUTHOR),),
        parents=tuple(parents.split()),
        files=tuple(_files(numstat)),
    )


def _files(numstat: str) -> Iterator[FileChange]:
    for line in numstat.strip().splitlines():
        added, deleted, path = line.split("\t")
        path = re.sub(r"\{.*? => (.*?)\}", r"\1", path).replace("//", "/").split(" => ")[-1]
        if added == "-":
            yield FileChange(path, None, None)
        else:
            yield FileChange(path, int(added), int(deleted))


def main(clones: Path) -> None:
    """Print the agreement per part and per kind, and every disagreement."""
    seen: dict[str, Counter[str]] = {}
    kinds: Counter[str] = Counter()
    agreed: Counter[str] = Counter()
    derived_as: Counter[str] = Counter()
    for row in labels():
        clone = clones / f"{row['repo'].replace('/', '__')}.git"
        if not clone.exists():
            continue
        derived, reason = changes.change(commit(clone, row["oid"]))
        part = seen.setdefault(row["part"], Counter())
        part["all"] += 1
        part["first"] += derived == row["label"]
        part["either"] += derived in (row["label"], row["also"])
        kinds[row["label"]] += 1
        derived_as[derived] += 1
        if derived == row["label"]:
            agreed[derived] += 1
        else:
            also = f" or {row['also']}" if row["also"] else ""
            sys.stdout.write(
                f"{row['repo']} {row['oid'][:12]} {row['label']}{also}, derived {derived}: {reason}\n"
            )
    for part_name, part in seen.items():
        sys.stdout.write(
            f"{part_name}: {part['first']}/{part['all']} = {part['first'] / part['all']:.1%};"
            f" either label {part['either']}/{part['all']} = {part['either'] / part['all']:.1%}\n"
        )
    for kind, number in kinds.most_common():
        sys.stdout.write(
            f"{kind}: {agreed[kind]} of {number} found, {derived_as[kind]} derived so\n"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
