"""The stream of `git log -z`, from bytes to activities."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparky.model import Activity, FileChange
from sparky.source.git import Pipes
from sparky.source.limits import Limits
from sparky.source.parse import commits, tokens
from sparky.source.people import People
from tests.factories import oid

ADA = (b"Ada", b"ada@example.org")


def header(n: int, body: bytes = b"", date: int = 1_770_000_000) -> bytes:
    """What git prints of a commit before its files, each field ended by NUL."""
    fields = (oid(n).encode(), oid(n - 1).encode(), str(date).encode(), *ADA, *ADA, b"Title", body)
    return b"\0".join(fields) + b"\0"


def read(stream: bytes, *, block: int = 7, limits: Limits | None = None) -> list[Activity]:
    """Parse a stream that comes in blocks of some bytes."""
    blocks = (stream[at : at + block] for at in range(0, len(stream), block))
    nobody = People(Pipes(BytesIO(), BytesIO()), "a test")
    return list(commits(blocks, nobody, limits or Limits()))


paths = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
counts = st.none() | st.integers(0, 10**6)
changes = st.builds(
    lambda path, old, lines: FileChange(path, lines, lines, old),
    paths,
    st.none() | paths,
    counts,
)


def numstat(change: FileChange) -> bytes:
    """How `git log -z --numstat` prints a file."""
    both = b"-\t-\t" if change.additions is None else b"%d\t%d\t" % ((change.additions,) * 2)
    names = (change.path,)
    if change.renamed_from is not None:
        both += b"\0"
        names = (change.renamed_from, change.path)
    return both + b"".join(name.encode() + b"\0" for name in names)


@given(st.lists(st.lists(changes, max_size=4), max_size=4), st.integers(1, 50))
def test_every_file_is_given_to_its_commit(history: list[list[FileChange]], block: int) -> None:
    """Whatever paths look like, and however the stream is cut, no commit or file gets lost."""
    stream = b"".join(
        header(n) + (b"\n" if files else b"") + b"".join(map(numstat, files))
        for n, files in enumerate(history, 1)
    )
    found = read(stream, block=block)
    assert [one.oid for one in found] == [oid(n) for n in range(1, len(history) + 1)]
    assert [list(one.files) for one in found] == history
    for one, files in zip(found, history, strict=True):
        assert one.additions == one.deletions == sum(file.additions or 0 for file in files)


@pytest.mark.parametrize("line", [b"1\t2\tx", oid(9).encode(), b":100644 100644 a b M", b"\n"])
def test_a_message_cannot_pass_for_anything_else(line: bytes) -> None:
    """A message that looks like a file or a commit stays a message."""
    (found,) = read(header(1, b"\n".join((line, line))) + b"\n1\t1\tf\0")
    assert (found.files_total, found.body.encode()) == (1, b"\n".join((line, line)).strip())


def test_files_are_known_without_their_contents() -> None:
    """What `--raw` prints gives paths without counts."""
    raw = b"\n:100644 100644 aaaa bbbb M\0a\0:000000 100644 0000 cccc A\0b c\0"
    (one, two) = read(header(1) + raw + header(2))
    assert one.files == (FileChange("a", None, None), FileChange("b c", None, None))
    assert (one.additions, two.files_total) == (0, 0)


def test_files_above_the_cap_are_counted() -> None:
    """A commit names as many files as the limit says, and counts all of them and their lines."""
    stream = header(1) + b"\n" + b"".join(b"1\t2\tf%d\0" % n for n in range(10))
    (found,) = read(stream, limits=Limits(files=3))
    assert [file.path for file in found.files] == ["f0", "f1", "f2"]
    assert (found.files_total, found.additions, found.deletions) == (10, 10, 20)


def test_a_long_message_is_cut() -> None:
    """Memory for one message is bounded, and what follows it is read all the same."""
    (one, two) = read(
        header(1, b"x" * 10_000) + b"\n1\t1\tf\0" + header(2), limits=Limits(text_bytes=100)
    )
    assert 100 <= len(one.body) <= 107
    assert (one.files_total, two.oid) == (1, oid(2))


def test_text_that_no_database_takes_is_mended() -> None:
    """Bytes that are not UTF-8 become U+FFFD; control characters go, tab and line feed stay."""
    (found,) = read(
        header(1, b"caf\xe9 \xed\xa0\x80 \x1b[31mred\x07\r\n\tend\n") + b"\n1\t1\tf\xff\0"
    )
    assert found.body == "caf\ufffd \ufffd\ufffd\ufffd [31mred\n\tend"
    assert found.files[0].path == "f\ufffd"


def test_commits_are_given_as_they_come() -> None:
    """A commit is there before the history behind it has been read."""
    taken: list[int] = []

    def endless() -> Iterator[bytes]:
        for n in count(1):
            taken.append(n)
            yield header(n)

    nobody = People(Pipes(BytesIO(), BytesIO()), "a test")
    assert next(commits(endless(), nobody, Limits())).oid == oid(1)
    assert len(taken) <= 2


def test_times_are_in_utc() -> None:
    """A committer date is an instant in UTC."""
    (found,) = read(header(1, date=0))
    assert found.at == datetime(1970, 1, 1, tzinfo=UTC)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_tokens_are_what_stands_between(parts: list[bytes], block: int) -> None:
    """However a stream is cut into blocks, its tokens are the same."""
    wanted = [part.replace(b"\0", b"") for part in parts]
    stream = b"".join(part + b"\0" for part in wanted)
    assert (
        list(tokens((stream[at : at + block] for at in range(0, len(stream), block)), 99)) == wanted
    )
