"""Links as the delegates read them, beside what pyroute2 makes of the same replies."""

import json
import sys

from tests.netns.containers import ROOT
from tests.support.host import Host

_LINKS = """\
link add br0 type bridge
link set br0 up promisc on
link add veth0 type veth peer name veth1
link set veth0 master br0 up
link set veth1 up mtu 1400
link add mac0 link eth0 address 02:00:00:00:00:07 type macvlan mode bridge
link add a-longer-name type ifb
link add tunnel link br0 type vxlan id 4 dstport 4789
"""

# The oracle is the whole library, whose own names these are.
_PROGRAM = """\
import json
from delegates.netlink import Netlink
from pyroute2 import IPRoute
ours = [
    [each.index, each.name, each.mac, each.mtu, each.up, each.running, each.promiscuous,
     each.master, each.parent, each.kind]
    for each in Netlink().links()
]
theirs = []
with IPRoute() as library:
    for each in library.get_links():
        info = each.get_attr("IFLA_LINKINFO")
        theirs.append([
            each["index"], each.get_attr("IFLA_IFNAME"), each.get_attr("IFLA_ADDRESS") or "",
            each.get_attr("IFLA_MTU"), bool(each["flags"] & 1),
            each.get_attr("IFLA_OPERSTATE") == "UP", bool(each["flags"] & 0x100),
            each.get_attr("IFLA_MASTER") or 0, each.get_attr("IFLA_LINK") or 0,
            (info.get_attr("IFLA_INFO_KIND") or "") if info else "",
        ])
print(json.dumps([ours, theirs]))
"""


def test_every_link_is_read_as_the_library_reads_it(host: Host) -> None:
    host.run(["ip", "-batch", "-"], _LINKS.encode())
    environment = {"PATH": "/usr/bin", "PYTHONPATH": f"{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}

    done = host.run([sys.executable, "-c", _PROGRAM], env=environment)
    ours, theirs = json.loads(done.text)

    assert ours == theirs
    # What is true of one link and not of another is told.
    assert {"br0", "veth0", "mac0", "a-longer-name", "lo"} <= {link[1] for link in ours}
    assert {link[9] for link in ours} == {"", "bridge", "ifb", "macvlan", "veth", "vxlan"}
    assert all(len({str(link[field]) for link in ours}) > 1 for field in range(10))
