"""Containers as their directories would show them, for what only reads values."""

from typing import Any

from mesos_cni_port_mapper.harness.agent.state import AgentInfo
from mesos_cni_port_mapper.harness.containers import RUNNING, Container, Ending
from mesos_cni_port_mapper.harness.identity import Identity
from mesos_cni_port_mapper.harness.spec import Spec

AGENT = AgentInfo(
    agent_id="agent-S0",
    hostname="host",
    version="1",
    pid="slave(1)@127.0.0.1:5051",
    start_time=50.0,
    directory="/run/mesos/containers",
    flags={"port": "5051"},
    resources={"cpus": 2.0},
)
NETWORK = {
    "name": "net",
    "ip_addresses": [{"ip_address": "192.168.7.2", "protocol": "IPv4"}],
    "labels": [{"key": "a", "value": "b"}],
    "port_mappings": [{"host_port": 8080, "container_port": 80}],
}


def container(
    container_id: str = "web", state: str = RUNNING, *, program: str | None = "/bin/sh", **more: Any
) -> Container:
    fields: dict[str, Any] = {
        "container_id": container_id,
        "spec": Spec(container_id=container_id, name=container_id, program=program, argv=("sh",)),
        "state": state,
        "monitored": True,
        "created": 100.0,
        "settings": {},
        "monitor": None,
        "init": Identity(7, 1, "boot"),
        "started": 101.0,
        "network_infos": [NETWORK],
        "environment": {},
        "ending": None,
    }
    return Container(**{**fields, **more})


def ended(container_id: str = "web", status: int | None = 0, **more: Any) -> Container:
    ending = Ending(status=status, finished=102.0)
    return container(container_id, "exited", **{"monitored": False, "ending": ending, **more})
