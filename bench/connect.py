"""Open TCP connections through two ports in turns, and serve them: both ends of `scale`.

Started inside a throwaway host with ``python -I -S``. A job comes on stdin; the times leave on
stdout, in nanoseconds for so many connections. Each is closed by a reset, so that none lingers: a
round leaves entries in conntrack for ten seconds and nothing else.
"""

import gc
import json
import random
import select
import socket
import struct
import sys
import time
from typing import Any

_RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: wait no time for what was not sent, and say so to the other side."""

_WAITING = 4096


def serve(address: str, ports: list[int]) -> None:
    """Accept and close whatever comes, until the host ends; says so when it is ready."""
    poll = select.poll()
    listeners = {}
    for port in ports:
        listener = socket.create_server((address, port), backlog=_WAITING)
        listener.setblocking(False)
        poll.register(listener, select.POLLIN)
        listeners[listener.fileno()] = listener
    print("ready", flush=True)
    while True:
        for number, _ in poll.poll():
            try:
                while True:
                    listeners[number].accept()[0].close()
            except BlockingIOError:
                pass


def connect(target: tuple[str, int], count: int) -> int:
    """Connect so often, one after the other; return how long it took."""
    begin = time.perf_counter_ns()
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.connect(target)
        client.close()
    return time.perf_counter_ns() - begin


def measure(job: dict[str, Any]) -> list[list[int]]:
    """Return for each round what each of the targets took; the first warms up."""
    targets = [(address, port) for address, port in job["targets"]]
    rounds = []
    for _ in range(job["rounds"] + 1):
        order = list(enumerate(targets))
        random.shuffle(order)
        times = {number: connect(target, job["connections"]) for number, target in order}
        rounds.append([times[number] for number in range(len(targets))])
    return rounds[1:]


def main() -> None:
    """Serve, or measure."""
    gc.disable()
    job = json.load(sys.stdin)
    if "ports" in job:
        serve(job["address"], job["ports"])
    json.dump(measure(job), sys.stdout)


if __name__ == "__main__":
    main()
