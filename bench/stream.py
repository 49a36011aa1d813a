"""What each token of an answer costs where an engine sends it as an event of its own: `make bench BENCH=stream`.

A server in a process of its own sends answers of some hundred server-sent events, half a millisecond
apart, and Sparky's wire reads them one answer after the other. Printed is this process's own time.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socketserver
import statistics
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sparky.llm.wire import Wire

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PART = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}],
}
PAUSE = 0.0005
"""Seconds between two events, so that each is read alone."""


class Server(socketserver.ThreadingTCPServer):
    """Answers every question with so many events."""

    daemon_threads = True

    def __init__(self, events: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.events = events


class Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        while self.question():
            self.wfile.write(HEAD)
            for _ in range(self.server.events):
                self.event(json.dumps(PART))
                time.sleep(PAUSE)
            self.event("[DONE]")
            self.wfile.write(b"0\r\n\r\n")

    def question(self) -> bool:
        """Read one; False when there is none."""
        length = 0
        while line := self.rfile.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            if line == b"\r\n":
                self.rfile.read(length)
                return True
        return False

    def event(self, text: str) -> None:
        data = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


def serve(events: int, told: Connection) -> None:
    with Server(events) as server:
        told.send(server.server_address[1])
        server.serve_forever()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=400, help="events of an answer")
    options.add_argument("--answers", type=int, default=20)
    given = options.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.Process(target=serve, args=(given.events, there), daemon=True)
    server.start()
    wire = Wire(f"http://127.0.0.1:{here.recv()}")
    spent = [answer(wire, given.events) for _ in range(given.answers)]
    wire.close()
    server.terminate()
    middle = statistics.median(spent)
    print(
        f"an answer of {given.events} events: {1000 * middle:.1f} ms of processor time,"
        f" {1e6 * middle / given.events:.0f} µs an event"
    )


def answer(wire: Wire, events: int) -> float:
    """Seconds of processor time that one answer took."""
    began = time.process_time()
    with wire.stream("/v1/chat/completions", {"prompt": "x" * 4000}, wire.deadline()) as parts:
        if sum(1 for _ in parts) != events:
            raise SystemExit("the answer is not whole")
    return time.process_time() - began


if __name__ == "__main__":
    main()
