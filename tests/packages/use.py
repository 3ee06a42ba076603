"""Use an installed port mapper as a runtime would: a container's port, reached and gone again."""

import gzip
import json
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cli import ports
from mesos_cni_port_mapper.cli.program import COMMANDS
from tests.support.host import HOST_IPV4, Container, Host
from tests.support.plugin import Plugin
from tests.support.traffic import Saw, connect_tcp, serve_tcp

EXAMPLE = Path(__file__).parents[2] / "packaging" / "examples" / "port-mapper-test.conf"


def assert_usable(plugin: Plugin, container: Container) -> None:
    """Forward a port to a container, connect to it from outside, take it away."""
    host = plugin.host
    serve_tcp(container, 80)
    assert connect_tcp(host.client, HOST_IPV4, 8080) == "refused"

    added = plugin.add(container, _netconf())

    assert added.status == 0, added.stdout
    seen = connect_tcp(host.client, HOST_IPV4, 8080)
    assert isinstance(seen, Saw)
    assert (seen.name, seen.port) == ("web-1", 80)

    assert plugin.delete(container, _netconf()).status == 0
    assert connect_tcp(host.client, HOST_IPV4, 8080) == "refused"
    assert _forwarding(host) == []


def assert_documented(pages: Path) -> None:
    """See that there is a manual page for the program, and for each of its commands."""
    names = ["", *COMMANDS, *(f"ports-{name}" for name in ports.COMMANDS)]
    wanted = {f"mesos-cni-{name}".rstrip("-") + ".1.gz" for name in names}
    assert {path.name for path in pages.glob("mesos-cni*")} == wanted
    for page in pages.glob("mesos-cni*"):
        assert gzip.decompress(page.read_bytes()).startswith(b".TH MESOS")


def _netconf() -> dict[str, Any]:
    """Return the example's configuration as Mesos sends it for a task with a port."""
    mappings = [{"host_port": 8080, "container_port": 80, "protocol": "tcp"}]
    network_info = {"network_info": {"port_mappings": mappings}}
    return {**json.loads(EXAMPLE.read_text()), "args": {"org.apache.mesos": network_info}}


def _forwarding(host: Host) -> list[str]:
    return [line for line in host.ruleset() if "DNAT" in line]
