"""One of four engines goes wrong in the middle of a run, and the digest is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.history import write_history
from tests.engines.fleet import figures, fleet, trouble

MODEL = "gpt-oss-20b"
TROUBLES: dict[str, dict[str, Any]] = {
    "killed": {"kind": "reset"},
    "hung": {"kind": "hang"},
    "slow": {"kind": "slow", "slowness": 500.0},
    "corrupt": {"kind": "corrupt"},
}


def run(folder: Path, repository: Path, urls: list[str]) -> dict[str, Any]:
    """The digest of `sparky run` with these engines."""
    engines = [{"url": url, "model": MODEL} for url in urls]
    environment = {name: value for name, value in os.environ.items() if "SPARKY" not in name} | {
        "SPARKY_ENGINES": json.dumps(engines),
        "SPARKY_LLM_TIMEOUT_SECONDS": "3",
        "SPARKY_STATE_DIR": str(folder / "state"),
        "SPARKY_CACHE_DIR": str(folder / "cache"),
        "SPARKY_CONFIG": os.devnull,
    }
    words = [sys.executable, "-m", "sparky.cli.main", "run", str(repository)]
    words += ["--since", "2000-01-01", "--format", "json"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("kind", TROUBLES)
def test_no_chunk_is_lost_and_none_counts_twice(kind: str, tmp_path: Path) -> None:
    """Each commit is in the ledger once, and what was in flight at the sick engine is done elsewhere."""
    repository = tmp_path / "history.git"
    write_history(repository, 120)
    with fleet(4, slots=4, scale=40) as urls:
        trouble(urls[0], after=2, **TROUBLES[kind])
        digest = run(tmp_path, repository, urls)
        done = [figures(url)["answers"] for url in urls]
    assert digest["status"] == "done"
    for entry in digest["ledger"]:
        omitted = [omission["key"] for omission in entry["omitted"]]
        assert entry["expected"] == entry["fetched"] == entry["summarized"] + len(omitted)
    (commits,) = [entry for entry in digest["ledger"] if entry["kind"] == "commit"]
    assert commits["fetched"] >= 120
    cited = Counter(cite for point in digest["points"] for cite in point["cites"])
    assert max(cited.values()) == 1
    assert all(count > 0 for count in done[1:])
