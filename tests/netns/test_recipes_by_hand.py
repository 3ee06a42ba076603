"""The documents' loopback and bridge commands, typed with `CNI_*` variables, on every plugin."""

import json
import re

import pytest

from tests.netns.containers import ROOT
from tests.netns.recipes import parse_transcript, run_steps
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY
from tests.support.process import CommandError

# What each says of a loopback without a name, which the document gives it.
REFUSALS = {
    PLUGIN_DIRECTORY: "missing network name",
    f"{ROOT}/dist/delegates": "name: is missing; it must be a string",
}

CONFIGURATIONS = """\
$ mkdir -p /run/cni /run/netns
$ cat > /run/test-cni-loopback.conf <<EOF
{
    "type": "loopback"
}
EOF
$ cat > /run/test-cni-mybridge0.conf <<EOF
{
    "name": "mybridge0",
    "type": "bridge",
    "bridge": "mybr0",
    "isGateway": true,
    "ipMasq": true,
    "ipam": {
        "type": "host-local",
        "subnet": "10.23.0.0/24",
        "routes": [
            { "dst": "0.0.0.0/0" }
        ]
    }
}
EOF
$ ip netns add mycontainer0
$ ip netns list
mycontainer0
$ cd /run/cni
$ ln -s DIRECTORY bin
"""
LOOPBACK = """\
$ export CNI_COMMAND=ADD
$ export CNI_CONTAINERID=mycontainer0
$ export CNI_NETNS=/var/run/netns/mycontainer0
$ export CNI_IFNAME=mynetlo
$ export CNI_PATH=`pwd`/bin
$ ./bin/loopback < /run/test-cni-loopback.conf
"""
NAME_IT = """\
$ sed -i 's/"type"/"name": "mynetlo", "type"/' /run/test-cni-loopback.conf
"""
BRIDGE = """\
$ export CNI_IFNAME=eth0
$ ./bin/bridge < /run/test-cni-mybridge0.conf
"""
LOOK = """\
$ ip -4 -oneline addr
$ ip netns exec mycontainer0 ip -oneline addr
$ ip netns exec mycontainer0 ip -oneline link show up
$ ip netns exec mycontainer0 ip route
"""
DELETE = """\
$ export CNI_COMMAND=DEL
$ ./bin/bridge < /run/test-cni-mybridge0.conf
$ ./bin/loopback < /run/test-cni-loopback.conf
"""
LOOK_AGAIN = """\
$ ip netns exec mycontainer0 ip -oneline link show up
$ ip -oneline link
$ ip netns del mycontainer0
"""

# How the document looks, with tools that not every machine has.
IFCONFIG = "$ ip netns exec mycontainer0 ifconfig\n"
IFCONFIG_OUTSIDE = "$ ifconfig\n"
ROUTE = "$ ip netns exec mycontainer0 route -n\n"


@pytest.fixture(params=REFUSALS)
def directory(request: pytest.FixtureRequest) -> str:
    path = str(request.param)
    need(f"{path}/bridge", f"{path}/host-local", f"{path}/loopback")
    return path


def typed(host: Host, directory: str, *transcripts: str) -> dict[str, list[str]]:
    """Run transcripts and return what each command printed; " again" is added to a second one."""
    text = "".join((CONFIGURATIONS, *transcripts)).replace("DIRECTORY", directory)
    steps = parse_transcript(text)
    seen: dict[str, list[str]] = {}
    for step, output in zip(steps, run_steps(host, steps), strict=True):
        key = step.command
        while key in seen:
            key += " again"
        seen[key] = output
    return seen


def test_a_loopback_without_a_name_is_refused_by_name(host: Host, directory: str) -> None:
    with pytest.raises(CommandError) as refused:
        typed(host, directory, LOOPBACK)

    command, _, answer = str(refused.value).partition(" ended with 1: ")
    assert "./bin/loopback" in command
    error = json.loads(answer)
    assert (error["code"], error["msg"]) == (7, REFUSALS[directory])


def test_a_container_is_added_to_both_and_deleted_from_both(host: Host, directory: str) -> None:
    seen = typed(host, directory, NAME_IT, LOOPBACK, BRIDGE, LOOK, DELETE, LOOK_AGAIN)

    loopback = json.loads("".join(seen["./bin/loopback < /run/test-cni-loopback.conf"]))
    bridge = json.loads("".join(seen["./bin/bridge < /run/test-cni-mybridge0.conf"]))
    # Newer plugins name the version, and loopback what is on lo.
    assert loopback["dns"] == {}
    assert set(loopback) <= {"cniVersion", "ip4", "ip6", "dns"}
    bridge.pop("cniVersion", None)
    assert bridge == {
        "ip4": {
            "ip": "10.23.0.2/24",
            "gateway": "10.23.0.1",
            "routes": [{"dst": "0.0.0.0/0"}],
        },
        "dns": {},
    }

    assert " mybr0    inet 10.23.0.1/24 " in "\n".join(seen["ip -4 -oneline addr"])
    inside = "ip netns exec mycontainer0 ip"
    addresses = re.findall(
        r"^\d+: (\w+) +inet6? (\S+) ", "\n".join(seen[f"{inside} -oneline addr"]), re.M
    )
    assert [pair for pair in addresses if not pair[1].startswith("fe80:")] == [
        ("lo", "127.0.0.1/8"),
        ("lo", "::1/128"),
        ("eth0", "10.23.0.2/24"),
    ]
    assert _names(seen[f"{inside} -oneline link show up"]) == ["lo", "eth0"]
    assert [re.sub(r" +", " ", line).strip() for line in seen[f"{inside} route"]] == [
        "default via 10.23.0.1 dev eth0",
        "10.23.0.0/24 dev eth0 proto kernel scope link src 10.23.0.2",
    ]

    for program in ("bridge", "loopback"):
        (config,) = (key for key in seen if key.startswith(f"./bin/{program}") and "again" in key)
        assert seen[config] == []
    assert _names(seen[f"{inside} -oneline link show up again"]) == []
    assert [name for name in _names(seen["ip -oneline link"]) if name.startswith("veth")] == []
    assert host.ruleset() == []


def test_ifconfig_and_route_show_what_the_document_does(host: Host, directory: str) -> None:
    need("ifconfig", "route")
    shown = (IFCONFIG, BRIDGE, IFCONFIG_OUTSIDE, IFCONFIG, ROUTE, DELETE, IFCONFIG)
    seen = typed(host, directory, NAME_IT, LOOPBACK, *shown)

    inside = "ip netns exec mycontainer0 ifconfig"
    loopback = ("127.0.0.1", "255.0.0.0", "::1", "LOOPBACK UP", "65536")
    assert _interfaces(seen[inside]) == {"lo": loopback}
    both = _interfaces(seen[f"{inside} again"])
    eth0 = ("10.23.0.2", "255.255.255.0", "", "BROADCAST MULTICAST UP", "1500")
    assert both == {"eth0": eth0, "lo": loopback}
    outside = _interfaces(seen["ifconfig"])
    assert outside["mybr0"] == ("10.23.0.1", "255.255.255.0", "", "BROADCAST MULTICAST UP", "1500")
    (end,) = (name for name in outside if name.startswith("veth"))
    assert outside[end] == ("", "", "", "BROADCAST MULTICAST UP", "1500")
    assert [line.split() for line in seen["ip netns exec mycontainer0 route -n"]] == [
        ["Kernel", "IP", "routing", "table"],
        ["Destination", "Gateway", "Genmask", "Flags", "Metric", "Ref", "Use", "Iface"],
        ["0.0.0.0", "10.23.0.1", "0.0.0.0", "UG", "0", "0", "0", "eth0"],
        ["10.23.0.0", "0.0.0.0", "255.255.255.0", "U", "0", "0", "0", "eth0"],
    ]
    assert seen[f"{inside} again again"] == []


def _interfaces(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """Return what `ifconfig` shows of each: addresses, flags and MTU."""
    found: dict[str, tuple[str, ...]] = {}
    for block in "\n".join(lines).split("\n\n"):
        name, _, rest = block.partition(": ")
        # Whether something runs at the other end is known a moment later.
        flags = set(_first(r"<(.*)>", rest).split(",")) - {"RUNNING"}
        found[name] = (
            _first(r"inet (\S+)", rest),
            _first(r"netmask (\S+)", rest),
            _first(r"inet6 (?!fe80)(\S+)", rest),
            " ".join(sorted(flags)),
            _first(r"mtu (\d+)", rest),
        )
    return found


def _first(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    return match.group(1) if match else ""


def _names(lines: list[str]) -> list[str]:
    return [re.split(r"[@:]", line.partition(": ")[2])[0] for line in lines]
