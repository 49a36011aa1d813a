"""One of four engines goes wrong in the middle of a run, and the digest is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable
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


def engines(urls: Iterable[str]) -> str:
    """A settings file with these engines."""
    return "".join(f'[[engines]]\nurl = "{url}"\nmodel = "{MODEL}"\n' for url in urls)


def run(
    folder: Path,
    repository: Path,
    urls: Iterable[str],
    meanwhile: Callable[[Path], None] = lambda settings: None,
) -> dict[str, Any]:
    """The digest of `sparky run` with these engines.

    Args:
        meanwhile: is called with the settings file while the run works.
    """
    settings = folder / "sparky.toml"
    settings.write_text(engines(urls))
    environment = {name: value for name, value in os.environ.items() if "SPARKY" not in name} | {
        "SPARKY_LLM_TIMEOUT_SECONDS": "3",
        "SPARKY_STATE_DIR": str(folder / "state"),
        "SPARKY_CACHE_DIR": str(folder / "cache"),
        "SPARKY_CONFIG": str(settings),
    }
    words = [sys.executable, "-m", "sparky.cli.main", "run", str(repository)]
    words += ["--since", "2000-01-01", "--format", "json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, env=environment, text=True, stdout=pipe, stderr=pipe) as process:
        try:
            meanwhile(settings)
            out, err = process.communicate()
        except BaseException:
            process.terminate()
            raise
    assert process.returncode == 0, err[-2000:]
    return dict(json.loads(out))


def whole(digest: dict[str, Any]) -> None:
    """Check that each commit is in the ledger once, and that no point repeats another's."""
    assert digest["status"] == "done"
    for entry in digest["ledger"]:
        omitted = [omission["key"] for omission in entry["omitted"]]
        assert entry["expected"] == entry["fetched"] == entry["summarized"] + len(omitted)
    (commits,) = [entry for entry in digest["ledger"] if entry["kind"] == "commit"]
    assert commits["fetched"] >= 120
    cited = Counter(cite for point in digest["points"] for cite in point["cites"])
    assert max(cited.values()) == 1


@pytest.mark.parametrize("kind", TROUBLES)
def test_no_chunk_is_lost_and_none_counts_twice(kind: str, tmp_path: Path) -> None:
    """Each commit is in the ledger once, and what was in flight at the sick engine is done elsewhere."""
    repository = tmp_path / "history.git"
    write_history(repository, 120)
    with fleet(4, slots=4, scale=40) as urls:
        trouble(urls[0], after=2, **TROUBLES[kind])
        digest = run(tmp_path, repository, urls)
        done = [figures(url)["answers"] for url in urls]
    whole(digest)
    assert all(count > 0 for count in done[1:])


def test_a_run_goes_on_with_the_engines_that_its_settings_file_names_meanwhile(
    tmp_path: Path,
) -> None:
    """The only engine hangs for good; another one that joins while the run waits does the rest."""
    repository = tmp_path / "history.git"
    write_history(repository, 120)
    with fleet(2, slots=4, scale=40) as (first, second):
        trouble(first, "hang", after=2)

        def exchange(settings: Path) -> None:
            hung = threading.Event()
            while not figures(first)["answers"] and not hung.wait(0.1):
                pass
            fresh = settings.with_name("fresh.toml")
            fresh.write_text(engines([second]))
            fresh.replace(settings)

        digest = run(tmp_path, repository, [first], exchange)
        assert figures(second)["answers"] > 0
    whole(digest)
