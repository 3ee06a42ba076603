"""A throwaway host: its own interfaces, rules, mounts and processes, with a client outside.

The machine running the tests is never changed. A host lasts as long as its `Host` object is open
and the test process lives; then everything in it ends, also what a killed test left running.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self

from tests.support.agent import NAMESPACES, OUTSIDE, TOOLS
from tests.support.keeper import Keeper
from tests.support.process import CommandError, Finished, Process

Variant = Literal["nft", "legacy"]

HOST_IPV4, CLIENT_IPV4 = "192.0.2.1", "192.0.2.2"
HOST_IPV6, CLIENT_IPV6 = "2001:db8:1::1", "2001:db8:1::2"
UPLINK = "eth0"
SEARCH_PATH = f"{TOOLS}:/usr/sbin:/usr/bin:/sbin:/bin"

_ADDRESSES = """\
address add {ipv4}/24 dev {uplink}
address add {ipv6}/64 dev {uplink} nodad
link set {uplink} up
"""


class Place:
    """Somewhere packets come from and programs run: the host, a container, the client."""

    def __init__(self, keeper: Keeper, name: str, netns: str | None) -> None:
        self.keeper = keeper
        self.name = name
        self.netns = netns

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def start(
        self,
        argv: Sequence[str],
        input: bytes | None = b"",
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """Start a program here and return at once; ``env``, when given, is all it gets."""
        environment = {"PATH": SEARCH_PATH, "LC_ALL": "C"} if env is None else env
        return self.keeper.start(argv, environment, self.netns, input)

    def run(
        self,
        argv: Sequence[str],
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        *,
        check: bool = True,
        timeout: float = 30,
    ) -> Finished:
        """Run a program here and return what it left."""
        process = self.start(argv, input, env)
        try:
            finished = process.wait(timeout)
        finally:
            process.close()
        if check and finished.status != 0:
            words = (finished.stderr or finished.stdout).decode(errors="replace").strip()
            message = f"{' '.join(argv)} in {self.name} ended with {finished.status}: {words}"
            raise CommandError(message)
        return finished


class Container(Place):
    """A network namespace, bound to a path that a plugin gets as CNI_NETNS."""

    netns: str

    def __init__(self, keeper: Keeper, name: str, directory: str, *, dad: bool) -> None:
        super().__init__(keeper, name, f"{directory}/{name}")
        _finish(keeper.call("create_namespace", None, path=self.netns, detect_duplicates=dad))

    def remove(self) -> None:
        """Let the namespace and its path go, as when the container ended or after a reboot."""
        _finish(self.keeper.call("forget_namespace", None, path=self.netns))


class Host(Place):
    """A host of its own, and a client's namespace beyond its uplink."""

    def __init__(self, variant: Variant = "nft") -> None:
        self.variant = variant
        super().__init__(Keeper(f"/usr/sbin/xtables-{variant}-multi"), "host", None)
        try:
            self.client = Container(self.keeper, "client", OUTSIDE, dad=False)
            self._connect()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        peer = f"type veth peer name {UPLINK} netns {self.client.netns}"
        ours = _ADDRESSES.format(uplink=UPLINK, ipv4=HOST_IPV4, ipv6=HOST_IPV6)
        theirs = _ADDRESSES.format(uplink=UPLINK, ipv4=CLIENT_IPV4, ipv6=CLIENT_IPV6)
        self.run(["ip", "-batch", "-"], f"link add {UPLINK} {peer}\n{ours}".encode())
        self.client.run(["ip", "-batch", "-"], theirs.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the host with everything in it."""
        self.keeper.close()

    def container(self, name: str, *, dad: bool = False) -> Container:
        """Create a container's namespace at /run/netns/NAME of this host, with lo up.

        Without ``dad`` an IPv6 address is usable as soon as it is set, which saves a second.
        """
        return Container(self.keeper, name, NAMESPACES, dad=dad)

    def run_in(
        self,
        place: Place,
        argv: Sequence[str],
        input: bytes = b"",
        env: Mapping[str, str] | None = None,
        *,
        check: bool = True,
        timeout: float = 30,
    ) -> Finished:
        """Run a program in a container's or the client's network, with this host's files."""
        return place.run(argv, input, env, check=check, timeout=timeout)

    def hide(self, path: str) -> None:
        """Make a program (links are followed) not executable, or a directory empty, here only."""
        _finish(self.keeper.call("hide", None, path=path))

    def path(self, path: str) -> Path:
        """Return a path by which the test process reaches a file of the host.

        An absolute link on the way (/var/run is one) would lead to the machine's own files.
        """
        return Path(f"/proc/{self.keeper.pid}/root", path.lstrip("/"))

    def files(self, directory: str) -> dict[str, bytes]:
        """Return every file below a directory of the host with its content, for comparing."""
        root = self.path(directory)
        mounted = root.stat().st_dev
        return {
            str(entry.relative_to(root)): entry.read_bytes()
            for entry in sorted(root.rglob("*"))
            # A namespace's path is a regular file too, of another device, and cannot be read.
            if entry.is_file() and entry.stat().st_dev == mounted
        }

    def processes(self) -> dict[int, list[str]]:
        """Return the command lines of all processes in the host but its agent, by inner PID."""
        found = {}
        for entry in self.path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            # An empty one is a zombie's or a kernel thread's.
            if line and entry.name != "1":
                found[int(entry.name)] = [word.decode() for word in line[:-1].split(b"\0")]
        return found

    def ruleset(self, *, ipv6: bool = False, table: str = "nat") -> list[str]:
        """Return a table as iptables-save prints it, but only what somebody put there.

        Counters, comments and the frame are left out, and so are the built-in chains: whether
        they are listed depends on whether anybody has looked at the table yet.
        """
        program = "ip6tables-save" if ipv6 else "iptables-save"
        lines = self.run([program, "-t", table]).text.splitlines()
        return [
            re.sub(r" \[\d+:\d+\]$", "", line)
            for line in lines
            if line.startswith("-A") or re.match(r":\S+ -", line)
        ]

    def chain(self, name: str, *, ipv6: bool = False, table: str = "nat") -> list[str] | None:
        """Return the rules of a chain, or nothing when there is no such chain."""
        lines = self.ruleset(ipv6=ipv6, table=table)
        rules = [line for line in lines if line.startswith(f"-A {name} ")]
        return rules if rules or f":{name} -" in lines else None

    def nftables(self) -> list[str]:
        """Return everything nft lists, without counters."""
        return self.run(["nft", "--stateless", "list", "ruleset"]).text.splitlines()


def _finish(process: Process) -> None:
    finished = process.wait(10)
    process.close()
    if finished.status != 0:
        raise CommandError(finished.stderr.decode())
