"""Checks a digest against a clone: every cite resolves, and the ledger adds up to git's own count.

    python docs/samples/check.py CLONE DIGEST.json

CLONE is a clone with its whole history (`git clone --bare URL`). Ends with 1 if something is wrong.
"""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path


def git(clone: str, *args: str) -> str:
    """What git prints, or nothing where it fails."""
    done = subprocess.run(["git", "-C", clone, *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def main(clone: str, path: str) -> int:
    digest = json.loads(Path(path).read_text(encoding="utf-8"))
    cites = set(digest["headline_cites"]).union(*(point["cites"] for point in digest["points"]))
    wrong = []
    for cite in sorted(cites):
        kind, _, key = cite.partition(":")
        name = {"commit": key, "release": f"refs/tags/{key}"}[kind]
        oid = git(clone, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        if not oid or (kind == "commit" and oid != key):
            wrong.append(f"{cite} does not resolve")
    # git counts a commit of the very second of --until too; a window does not hold it.
    until = datetime.fromisoformat(digest["window"]["until"]) - timedelta(seconds=1)
    window = [f"--since-as-filter={digest['window']['since']}", f"--until={until.isoformat()}"]
    counted = set(git(clone, "rev-list", *window, "HEAD").split())
    for row in digest["ledger"]:
        told = row["summarized"] + len(row["omitted"])
        if not row["expected"] == row["fetched"] == told:
            wrong.append(f"{row['kind']}: {row['expected']} expected, {told} accounted for")
        if row["kind"] == "commit" and row["expected"] != len(counted):
            wrong.append(f"{row['expected']} commits expected, git counts {len(counted)}")
    cited = {cite.removeprefix("commit:") for cite in cites if cite.startswith("commit:")}
    wrong += [f"commit {oid} is outside of the window" for oid in sorted(cited - counted)]
    lines = [
        f"{digest['repo']['name']}: {len(cites)} cites, {len(counted)} commits by git's count,",
        f"  {len(counted - cited)} of them cited by no point; {len(wrong)} wrong",
    ]
    sys.stdout.write("\n".join([*lines, *wrong]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
