"""Configurations gone wrong at random, and a program that serves many of them in one process.

The program runs inside a throwaway host, because some of the configurations are still good ones.
"""

import copy
import json
import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# No absolute path but one below /run, which is the throwaway host's own.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 80, 65535, 65536, 80.5, 1e3, 1e300, 99999999999999999999),
    *(
        "",
        " ",
        "x",
        "tcp",
        "UDP",
        "80",
        "0.3.1",
        "9.9.9",
        "a b",
        "-j",
        "$(id)",
        "\n",
        "\0",
        "ä",
        "\ud800",
    ),
    *(
        "PREROUTING",
        "ACCEPT",
        "x" * 29,
        "x" * 300,
        "'",
        '"',
        "\\",
        "../x",
        "/run/odd",
        "192.168.7.300/24",
    ),
    *([], {}, [None], [[]], [{}], ["x"], {"x": 1}, [1, "x"]),
)


def mutate(document: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return a copy in which one to three things are different."""
    chance = random.Random(seed)
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        places = list(_places(changed))
        if places:
            _change(*chance.choice(places), chance)
    return changed


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    pairs: Any = ()
    if isinstance(node, dict):
        pairs = list(node.items())
    elif isinstance(node, list):
        pairs = list(enumerate(node))
    for key, value in pairs:
        yield node, key
        yield from _places(value)


def _change(node: Any, key: Any, chance: random.Random) -> None:
    value = node[key]
    action = chance.randrange(6)
    if action == 0:
        del node[key]
    elif action == 1:
        node[key] = [value, value]
    elif action == 2 and isinstance(node, list):
        node.append(value)
    elif action == 2:
        node[key.upper()] = node.pop(key)
    else:
        node[key] = copy.deepcopy(chance.choice(VALUES))


def serve_many(netconf: dict[str, Any], seeds: list[int]) -> Iterator[dict[str, Any]]:
    """Serve an ADD and, when it succeeded, a DEL of one configuration after another."""
    for seed in seeds:
        changed = mutate(netconf, seed)
        answer = _serve("ADD", changed)
        yield {"seed": seed, "netconf": changed, **answer}
        if answer["status"] == 0:
            yield {"seed": seed, "netconf": changed, **_serve("DEL", changed)}


def _serve(command: str, netconf: dict[str, Any]) -> dict[str, Any]:
    from mesos_cni_port_mapper.cni.skeleton import serve
    from mesos_cni_port_mapper.port_mapper import PortMapper

    stdin, stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
    os.write(stdin, json.dumps(netconf).encode())
    os.lseek(stdin, 0, os.SEEK_SET)
    status = serve(PortMapper, {**os.environ, "CNI_COMMAND": command}, stdin, stdout)
    answer = os.pread(stdout, 1 << 20, 0).decode()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    os.close(stdin)
    os.close(stdout)
    return {"command": command, "status": status, "stdout": answer, "descriptors": descriptors}


def main() -> None:
    """Read what to serve from stdin and print an answer a line."""
    for answer in serve_many(*json.load(sys.stdin)):
        sys.stdout.write(json.dumps(answer) + "\n")
