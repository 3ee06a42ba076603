"""`ctr run --cni`: a container that is detached leaves its network by GC alone."""

from typing import Any

import pytest

from tests.clients.containerd import Containerd
from tests.clients.page import PLUGIN, network
from tests.clients.podman import owners
from tests.clients.stage import Stage
from tests.netns.behaviour.site import OWN, name_of
from tests.support.plugin import Answer, Plugin
from tests.support.traffic import connect_tcp, serve_tcp

BACK_ENDS = pytest.mark.parametrize(
    "options", [{}, {"backend": "nftables"}], ids=["iptables", "nftables"]
)


def publishing(port: int, **options: Any) -> Any:
    """Return a network whose containers have a port; ctr itself has no word for one."""
    wanted = {"port_mappings": [{"host_port": port, "container_port": 80}]}
    return network("pods", args={"org.apache.mesos": {"network_info": wanted}}, **options)


def run(containerd: Containerd, name: str, port: int, **options: Any) -> None:
    """Run a detached container with a port of the host's, on which it answers."""
    stage = containerd.stage
    stage.configure(publishing(port, **options))
    containerd.run(name, "--detach")
    pids = dict(line.split()[:2] for line in containerd.ctr("task", "ls").text.splitlines())
    serve_tcp(stage.place(name, f"/proc/{pids[name]}/ns/net"), 80)


def collect(stage: Stage, valid: list[dict[str, str]], **options: Any) -> Answer:
    """Send GC as a later libcni does, which ctr does not."""
    conflist = publishing(1, **options)
    keys = {"name": conflist["name"], "cniVersion": "1.1.0", "cni.dev/valid-attachments": valid}
    plugin = Plugin(stage.host, f"/opt/cni/bin/{PLUGIN}", ("/opt/cni/bin",))
    return plugin.gc({**conflist["plugins"][0], **keys})


@BACK_ENDS
def test_a_detached_container_is_collected_and_its_neighbour_is_not(
    containerd: Containerd, options: Any
) -> None:
    stage = containerd.stage
    run(containerd, "stays", 8080, **options)
    alone = stage.rules()
    run(containerd, "goes", 8081, **options)
    assert name_of(connect_tcp(stage.host.client, OWN[4], 8081)) == "goes"

    containerd.remove("goes")

    # Nobody has told the plugin.
    assert owners(stage.rules()) == {"default-stays", "default-goes"}
    assert "networks/pods/10.89.3.3" in stage.left()

    assert collect(stage, containerd.attachments(), **options).status == 0

    assert stage.rules() == alone
    assert "networks/pods/10.89.3.3" not in stage.left()
    assert connect_tcp(stage.host.client, OWN[4], 8081) == "refused"
    assert name_of(connect_tcp(stage.host.client, OWN[4], 8080)) == "stays"


def test_nothing_is_left_when_all_have_been_collected(containerd: Containerd) -> None:
    run(containerd, "web", 8080)
    containerd.remove("web")

    assert collect(containerd.stage, containerd.attachments()).status == 0

    # The runtime's own cache, of which the plugin knows nothing.
    assert containerd.stage.left() == ["results/pods-default-web-eth0"]


def test_a_container_in_the_foreground_leaves_without_its_namespace(
    containerd: Containerd,
) -> None:
    recorded = containerd.stage.record()
    containerd.stage.configure(publishing(8080))

    containerd.run("web", "--rm", program=["/bin/sleep", "0"])

    add, delete = recorded.calls(PLUGIN)
    assert (add.command, delete.command) == ("ADD", "DEL")
    assert add.env["CNI_NETNS"].startswith("/proc/")
    assert delete.env["CNI_NETNS"] == ""
    assert "prevResult" in delete.config
    assert containerd.stage.left() == []


def test_no_ports_come_from_ctr(containerd: Containerd) -> None:
    recorded = containerd.stage.record()
    containerd.stage.configure(network("pods"))

    containerd.run("web", "--detach")

    (add,) = recorded.calls(PLUGIN)
    assert "runtimeConfig" not in add.config
    assert add.env["CNI_CONTAINERID"] == "default-web"
    assert add.env["CNI_PATH"].split(":")[0] == "/opt/cni/bin"
