"""Name servers: one that knows one name, in the place of Docker's, and `names.py`, which knows none.

That one is where a node's Docker asks on. Without any, Docker says nothing of a name that it does not know,
and who asked waits ten seconds for each.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

NO_SUCH_NAME = 3


@contextmanager
def name_server(addresses: Sequence[str]) -> Iterator[str]:
    """`host:port` where each question for an A record is answered with these addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 0))
        wire.settimeout(0.05)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    question, client = wire.recvfrom(4096)
                except TimeoutError:
                    continue
                wire.sendto(_reply(question, addresses), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{wire.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def know_nothing() -> None:
    """Answer on this network's own port that there is no such name, until the process is ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.bind(("127.0.0.1", 53))
        while True:
            question, client = wire.recvfrom(4096)
            wire.sendto(_reply(question, (), NO_SUCH_NAME), client)


def _reply(question: bytes, addresses: Sequence[str], code: int = 0) -> bytes:
    """RFC 1035: the header, the question as it came, and an A record for each address."""
    end = question.index(b"\0", 12) + 5
    kind = struct.unpack("!H", question[end - 4 : end - 2])[0]
    found = addresses if kind == 1 else ()
    head = question[:2] + struct.pack("!HHHHH", 0x8580 | code, 1, len(found), 0, 0)
    records = b"".join(
        struct.pack("!HHHLH", 0xC00C, 1, 1, 1, 4) + socket.inet_aton(one) for one in found
    )
    return head + question[12:end] + records


if __name__ == "__main__":
    know_nothing()
