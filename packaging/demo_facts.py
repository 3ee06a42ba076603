"""What the demo says about what is to be seen, and what it expects to see: no step acts in here."""

import json
from pathlib import Path
from typing import Any

from demo_commands import ROOT

MESOS_CNI = "dist/bin/mesos-cni"
EXAMPLE = "packaging/examples/port-mapper-test.conf"

NETWORK, CHAIN, BRIDGE = "port-mapper-test", "MESOS-TEST-PORT-MAPPER", "mesos-cni0"
CONTAINER = "web"
CHECKPOINTS = f"/var/run/mesos/isolators/network/cni/{CONTAINER}"
HOST, CLIENT, ADDRESS = "192.0.2.1", "192.0.2.2", "192.168.0.2"
MAPPINGS = {8080: 80, 8081: 443}
REFUSED = [f"{HOST}:{port}: Connection refused" for port in MAPPINGS]

RUN = f"""\
{MESOS_CNI} run --detach --network_cni_config_dir packaging/examples \\
--network_cni_plugins_dir dist/plugins --name {CONTAINER} --networks {NETWORK} \\
{" ".join(f"--port {ours}:{its}" for ours, its in MAPPINGS.items())} \
--workdir "$PWD/packaging" python3 demo_web.py serve {" ".join(map(str, MAPPINGS.values()))}"""
STATUS = f"{MESOS_CNI} status {CONTAINER}"
GET_ONE = f"get {HOST}:8080"
GET = "get " + " ".join(f"{HOST}:{port}" for port in MAPPINGS)

STAGE = f"""\
ip link set lo up
ip netns add client
ip link add eth0 type veth peer name eth0 netns client
ip address add {HOST}/24 dev eth0
ip link set eth0 up
ip -n client address add {CLIENT}/24 dev eth0
ip -n client link set eth0 up
"""
PICTURE = f"""\
client                         host                                        container
{CLIENT} ------- {HOST} eth0 | {BRIDGE} 192.168.0.1 ------- eth0 {ADDRESS}"""

REMARKS = {
    '"name"': "the network, as a task asks for it",
    '"type": "mesos': "what the isolator runs: this plugin",
    '"excludeDevices"': "traffic that arrives here is not forwarded",
    '"chain"': "for this network's rules, in the nat table",
    '"delegate"': "who attaches the container: any CNI plugin,",
    '"type": "bridge"': "here a bridge,",
    '"type": "host-local"': "with an address of the container's own,",
    '"subnet"': "from here",
}
STATUS_REMARKS = {
    "address": "from the plugin's answer",
    "port     8080": "the host's 8080 leads to the container's 80,",
    "port     8081": "its 8081 to 443",
}

# What a container leaves in its places; all of it is there first and nothing afterwards.
TRACES = {
    "iptables-save -t nat | grep -e '^-A' -e MESOS": "no rule, no jump, no chain",
    f"ip -brief link show master {BRIDGE}": "no link to it",
    "find /var/lib/cni -name '192.168.*'": "its address is free",
    f"grep -rl '\"{CONTAINER}\"' /run/mesos-cni-port-mapper": "no record of the plugin's",
    f"{MESOS_CNI} ps --quiet": "no container",
    f"find /var/run/mesos/ -name '{CONTAINER}*'": "no checkpoint, no output",
    "grep mesos/isolators /proc/mounts": "no namespace, no mount",
}


def tagged_rule(ours: int, its: int) -> str:
    tag = f"container_id: {CONTAINER} network: {NETWORK} ifname: eth0"
    return (
        f"-A {CHAIN} ! -i {BRIDGE} -p tcp -m tcp --dport {ours} "
        f'-m comment --comment "{tag}" -j DNAT --to-destination {ADDRESS}:{its}'
    )


RULES = {
    f":{CHAIN} - [0:0]": "the chain that the configuration names",
    f"-A PREROUTING -m addrtype --dst-type LOCAL -j {CHAIN}": (
        "The first jump: what arrives for any of the host's own addresses is looked up there."
    ),
    f"-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j {CHAIN}": (
        "The second: so is what the host's own programs send there, its loopback excepted."
    ),
    tagged_rule(8080, 80): (
        f"Unless it comes from {BRIDGE} (! -i), what is for port 8080 goes to the container's 80 "
        "instead (DNAT). The comment is the tag: whose rule this is, and how DEL will find it."
    ),
    tagged_rule(8081, 443): "the same for the second mapping",
}


def pages(asker: str) -> list[str]:
    """Return what the container answers at each of the host's ports."""
    ports = MAPPINGS.values()
    return [f"container {CONTAINER}, at {ADDRESS}:{port}, answers {asker}" for port in ports]


def injected_args() -> dict[str, Any]:
    """Return what the isolator adds to a configuration for this container."""
    mappings = [{"container_port": its, "host_port": ours} for ours, its in MAPPINGS.items()]
    info = {"name": NETWORK, "port_mappings": mappings}
    return {"args": {"org.apache.mesos": {"network_info": info}}}


def configuration() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(Path(ROOT, EXAMPLE).read_text())
    return document
