"""A throwaway host with all that a CNI client wants to write to, and containers to run there.

Nothing of a client's reaches the machine: its configuration, its state, its shared memory and its
plugins are on file systems of the host's own, and no cgroup is made for any of its containers.
"""

import json
import os
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.netns.containers import ROOT
from tests.support.delegates import Delegates
from tests.support.gate import give_up, need, need_file
from tests.support.host import SEARCH_PATH, Host, Place
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.process import Finished

PLUGINS = ROOT / "dist" / "plugins"
NETWORKS = "/etc/cni/net.d"
GUEST = "/run/guest"
SLEEP = ("/bin/sleep", "1000")
RUNTIME = "/run/tools/crun-without-cgroups"
STATE = "/run/mesos-cni-port-mapper"
ENVIRONMENT = {
    "PATH": SEARCH_PATH,
    "LC_ALL": "C",
    "HOME": "/run/home",
    "TMPDIR": "/run/scratch",
}

# What clients install is in the machine's /etc, so that theirs is a copy of it.
_PREPARATION = """\
mount -t tmpfs -o mode=0755 tmpfs /var/lib
mount -t tmpfs -o mode=0755 tmpfs /opt
mount -t tmpfs tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/etc /run/home /run/lock /run/scratch /var/lib/cni /opt/cni/bin {guest}
cp -a /etc/. /run/etc/
mount --bind /run/etc /etc
rm -rf /etc/cni /etc/containers/containers.conf /etc/containers/storage.conf
mkdir -p /etc/cni/net.d /etc/containers
cat >{runtime} <<END
#!/bin/sh
exec crun --cgroup-manager=disabled "\\$@"
END
chmod 755 {runtime}
"""


def need_clients(*programs: str) -> None:
    """Give up unless clients can be run here."""
    need("crun", "ldd", f"{PLUGIN_DIRECTORY}/bridge", *programs)
    need_file(PLUGINS / "mesos-cni-port-mapper", "make build")
    if os.geteuid() != 0:
        give_up("clients need root, a user namespace will not do")


class Stage:
    """A host prepared for clients, with this project's plugins installed as the README has it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.shell(_PREPARATION.format(runtime=RUNTIME, guest=GUEST))
        self.shell(f"cp -a {PLUGINS}/. /opt/cni/bin/")
        self._furnish()

    def _furnish(self) -> None:
        """Make a file system for containers, in which there is one program, which waits."""
        program = SLEEP[0]
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True)
        libraries = [word for word in listed.stdout.split() if word.startswith("/")]
        self.shell(f"cp -L --parents {' '.join([program, *libraries])} {GUEST}")

    def shell(self, script: str) -> Finished:
        """Run commands as root, each of which must succeed."""
        return self.run(["sh", "-ec", script])

    def run(self, argv: Sequence[str], *, check: bool = True) -> Finished:
        """Run a program of a client's."""
        return self.host.run(argv, env=ENVIRONMENT, check=check, timeout=60)

    def configure(self, network: Any) -> str:
        """Write a network's configuration, and return its name."""
        name = str(network["name"])
        self.host.path(f"{NETWORKS}/{name}.conflist").write_text(json.dumps(network))
        return name

    def record(self) -> Delegates:
        """Put a program in the port mapper's place that writes down each call and hands it on."""
        self.shell("mv /opt/cni/bin /opt/mesos")
        recorded = Delegates(self.host, "/opt/cni/bin")
        recorded.write(
            "mesos-cni-port-mapper",
            '[ ! -e "$CNI_NETNS" ] || : >"$journal.alive"\n'
            'exec /opt/mesos/mesos-cni-port-mapper <"$journal.stdin"\n',
        )
        self.shell("ln -s /opt/mesos/.mesos-cni-delegates/* /opt/cni/bin/")
        return recorded

    def place(self, name: str, netns: str) -> Place:
        """Return where a container's packets come from."""
        return Place(self.host.keeper, name, netns)

    def rules(self) -> list[str]:
        """Return everything in the kernel that anybody has made to forward or to masquerade."""
        tables = [(False, "raw"), (False, "nat"), (True, "raw"), (True, "nat")]
        rules = [self.host.ruleset(ipv6=ipv6, table=table) for ipv6, table in tables]
        for family in ("ip", "ip6"):
            listing = ["nft", "--stateless", "list", "table", family, "mesos-cni-port-mapper"]
            rules.append(self.host.run(listing, check=False).text.splitlines())
        return sorted(line for lines in rules for line in lines)

    def left(self) -> list[str]:
        """Return what is there of attachments: rules, records, leases."""
        records = self.host.files(STATE) if self.host.path(STATE).is_dir() else {}
        leases = self.host.files("/var/lib/cni")
        last = "last_reserved_ip."
        return [
            *self.rules(),
            *[name for name in records if not name.endswith("lock")],
            *[name for name in leases if not name.endswith("lock") and last not in name],
        ]
