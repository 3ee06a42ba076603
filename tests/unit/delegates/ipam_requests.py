"""Requests to plugins that give addresses, and the errors they answer with."""

from collections.abc import Callable
from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.request import Request


def request(
    ipam: object,
    *,
    container_id: str = "web-1",
    ifname: str = "eth0",
    version: str = "1.0.0",
    cni_args: str | None = None,
    path: tuple[str, ...] = (),
    **top: Any,
) -> Request:
    """Return a request whose configuration has an ``ipam``, and ``top`` beside it."""
    environ = {
        "CNI_CONTAINERID": container_id,
        "CNI_IFNAME": ifname,
        "CNI_NETNS": "/proc/self/ns/net",
        "CNI_PATH": ":".join(path) or "/nowhere",
    }
    if cni_args is not None:
        environ["CNI_ARGS"] = cni_args
    return Request(
        command="ADD",
        container_id=container_id,
        ifname=ifname,
        netns="/proc/self/ns/net",
        path=path,
        environ=environ,
        netconf={"cniVersion": version, "name": "net", "type": "x", "ipam": ipam, **top},
        version=version,
    )


def refusal(action: Callable[[], object]) -> tuple[int, str]:
    """Return code and message of the error that an action must end with."""
    with pytest.raises(CniError) as failure:
        action()
    return failure.value.code, failure.value.msg
