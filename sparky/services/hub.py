"""Weights from the model hub: one HTTP download that resumes where it was cut."""

from __future__ import annotations

import re
from pathlib import Path

import httpx

from sparky.errors import Transient
from sparky.services.catalogue import Weights
from sparky.services.disk import length
from sparky.services.progress import Progress, Report

HUB = "https://huggingface.co"
STEP = "downloading from the model hub"

TIMEOUT = httpx.Timeout(15.0, connect=5.0)
"""Seconds; without a network the next source must come soon."""

CUTS = 5
"""How many times in a row a connection that has brought something may break."""


class Hub:
    """The official place of the weights."""

    name = "the model hub"

    def __init__(self, weights: Weights, base: str = HUB) -> None:
        self._weights = weights
        self._base = base

    def fetch(self, into: Path, report: Report) -> None:
        """Complete the file `into`, which may hold the beginning already.

        Raises:
            Transient: the hub does not give it now; what came is kept in `into`.
        """
        if self._weights.hub is None:
            raise Transient(f"it does not have {self._weights.name}")
        repository, file = self._weights.hub
        url = f"{self._base}/{repository}/resolve/main/{file}"
        with httpx.Client(timeout=TIMEOUT, follow_redirects=True) as client:
            complete(client, url, into, self._weights.size, report)


def complete(client: httpx.Client, url: str, into: Path, total: int, report: Report) -> None:
    """Complete the file `into` of `total` bytes, which may hold the beginning already.

    Raises:
        Transient: it is not given now; what came is kept in `into`.
    """
    cuts = 0
    while (before := length(into)) < total:
        try:
            _continue(client, url, into, total, report)
        except httpx.HTTPError as error:
            cuts += 1
            if length(into) == before or cuts > CUTS:
                host = httpx.URL(url).copy_with(path="/", query=None)
                raise Transient(f"{str(host).rstrip('/')} does not answer: {error}") from error
        if length(into) == before:
            raise Transient(f"{url} ends before its end")


def _continue(client: httpx.Client, url: str, into: Path, total: int, report: Report) -> None:
    """One request for what is still missing."""
    have = length(into)
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code not in (httpx.codes.OK, httpx.codes.PARTIAL_CONTENT):
            raise Transient(f"{url} answered {response.status_code}")
        start, whole = _extent(response)
        if whole != total or start not in (0, have):
            raise Transient(f"{url} is not the file of {total} bytes that is expected")
        with into.open("r+b" if have else "wb") as file:
            if have:
                file.seek(start)
                file.truncate()
            for block in response.iter_bytes(1 << 20):
                start += len(block)
                if start > total:
                    raise Transient(f"{url} gives more than {total} bytes")
                file.write(block)
                report(Progress(STEP, start, total))


def _extent(response: httpx.Response) -> tuple[int, int]:
    """Where the body begins in the file, and how long the whole file is; -1 if not told."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        said = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        return (int(said[1]), int(said[2])) if said else (-1, -1)
    return 0, int(response.headers.get("Content-Length", "-1"))
