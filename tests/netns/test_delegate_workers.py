"""The built-in plugins are ready when workers are forked: no request has anything to import."""

import json
import sys
from collections.abc import Mapping

import pytest

from tests.netns.containers import ROOT
from tests.support.host import UPLINK, Host

# What a worker does, told by a process that says what it imported meanwhile.
_PROGRAM = """\
import os, sys
sys.path[:] = sys.argv[1:]
from delegates.catalogue import make_plugin
from delegates.workers import import_all
from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.skeleton import serve
import_all()
before = set(sys.modules)
netconf, environ = codec.decode(sys.stdin.buffer.read())
for command in ("ADD", "CHECK", "DEL"):
    stdin, stdout = os.memfd_create("stdin"), os.memfd_create("stdout")
    os.pwrite(stdin, codec.encode(netconf), 0)
    make = lambda: make_plugin(netconf["type"])
    status = serve(make, environ | {"CNI_COMMAND": command}, stdin, stdout)
    answer = os.pread(stdout, 1 << 20, 0)
    if status:
        sys.exit(f"{command}: {answer}")
    if command == "ADD":
        netconf["prevResult"] = codec.decode(answer)
os.write(1, codec.encode(sorted(set(sys.modules) - before)))
"""

_IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd07::/64"}]],
    "dataDir": "/run/leases",
    "routes": [{"dst": "0.0.0.0/0"}],
}


@pytest.mark.parametrize(
    "netconf",
    [
        {"type": "bridge", "bridge": "br0", "isGateway": True, "ipMasq": True, "ipam": _IPAM},
        {"type": "ptp", "ipMasq": True, "ipam": _IPAM},
        {"type": "macvlan", "master": UPLINK, "ipam": _IPAM},
        {"type": "loopback"},
    ],
    ids=lambda netconf: netconf["type"],
)
def test_a_request_imports_nothing(host: Host, netconf: Mapping[str, object]) -> None:
    container = host.container("web")
    environ = {
        "CNI_CONTAINERID": "web",
        "CNI_NETNS": container.netns,
        "CNI_IFNAME": "lo" if netconf["type"] == "loopback" else "eth0",
        "CNI_PATH": "/nowhere",
        "PATH": "/usr/sbin:/usr/bin",
    }
    document = {"cniVersion": "1.0.0", "name": "net", **netconf}

    argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(ROOT), *filter(None, sys.path)]
    done = host.run(argv, json.dumps([document, environ]).encode())

    assert json.loads(done.text) == []
