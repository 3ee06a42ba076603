"""Look at the machine that runs the tests, to prove that they leave it alone."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """What a test could have changed outside of its host."""

    links: tuple[str, ...]
    rules: tuple[str, ...]
    namespaces: tuple[str, ...]
    state: tuple[str, ...]


def observe() -> Machine:
    """Return the machine as it is now."""
    return Machine(
        links=tuple(sorted(link["ifname"] for link in json.loads(_output("ip", "-j", "link")))),
        # Never iptables-legacy: listing a legacy table creates it.
        rules=tuple(_output("nft", "--stateless", "list", "ruleset").splitlines()),
        namespaces=_entries(Path("/run/netns")),
        state=(*_entries(Path("/run/mesos-cni-port-mapper")), *_entries(Path("/var/lib/cni"))),
    )


def _output(*argv: str) -> str:
    if shutil.which(argv[0], path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        return "[]"
    # Without privilege nft lists nothing, before and after alike.
    finished = subprocess.run(argv, capture_output=True, text=True, check=False)
    return finished.stdout


def _entries(directory: Path) -> tuple[str, ...]:
    return tuple(sorted(map(str, directory.glob("*"))))
