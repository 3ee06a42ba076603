"""What plugins are given on stdin: the operator's configuration with what the container asks for.

The configuration with ``args["org.apache.mesos"]`` in it is checkpointed before ADD and is what DEL
is asked with, though the operator may have deleted the file by then. A plain one is given as it
is; from a list each plugin gets its own part, with the name and version of the whole.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.result import (
    Result,
    addresses_of,
    decode_result,
    encode_result,
)
from mesos_cni_port_mapper.isolator.configurations import RESERVED, NetworkConfiguration
from mesos_cni_port_mapper.isolator.network_info import (
    IpAddress,
    NetworkInfo,
    assigned,
    encode_for_args,
)

_PORT_MAPPINGS = "portMappings"


def inject(configuration: NetworkConfiguration, info: NetworkInfo) -> NetworkConfiguration:
    """Return the configuration to checkpoint: each plugin's ``args`` with the NetworkInfo added.

    A plugin that declares the capability gets the mappings in the specification's form as well.
    """
    plugins = [_injected(plugin, info) for plugin in configuration.plugins]
    document = {**configuration.document, "plugins": plugins}
    return replace(
        configuration,
        document=document if configuration.is_list else plugins[0],
        plugins=tuple(plugins),
    )


def encode(document: dict[str, Any]) -> bytes:
    """Return JSON as Mesos writes it: compact, keys in order."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def render_for_plugin(
    configuration: NetworkConfiguration, index: int, previous: Result | None
) -> dict[str, Any]:
    """Return what the ``index``-th plugin of a checkpointed configuration is given."""
    netconf = dict(configuration.plugins[index])
    if configuration.is_list:
        netconf["name"] = configuration.name
        if configuration.version:
            netconf["cniVersion"] = configuration.version
    if previous is not None:
        version = configuration.version or versions.ASSUMED
        netconf["prevResult"] = encode_result(previous, version, declared=True)
    return netconf


def result_for_delete(configuration: NetworkConfiguration, info: bytes | None) -> Result | None:
    """Return the ``prevResult`` of a DEL, in versions that have one and as far as it is known."""
    version = configuration.version
    if info is None or version not in versions.SUPPORTED:
        return None
    if versions.order(version) < versions.order(versions.FIRST_WITH_CHECK):
        return None
    try:
        result = parse_result(info, version)
        encode_result(result, version, declared=True)
    except ValueError:
        return None  # What cannot be read is no reason to stay attached.
    return result


def parse_result(data: bytes, version: str) -> Result:
    """Read what ADD printed for a configuration of ``version``, "" when it names none.

    Raises ``ValueError``. An answer that names no version itself is known by its shape.
    """
    document = codec.decode(data)
    if isinstance(document, dict) and not document.get("cniVersion"):
        modern = document.get("ips") is not None
        if modern and (version or versions.ASSUMED) in ("0.1.0", "0.2.0"):
            return decode_result(document, "0.4.0")
        if not modern and (document.get("ip4") is not None or document.get("ip6") is not None):
            return decode_result(document, versions.ASSUMED)
    return decode_result(document, version or versions.ASSUMED)


def assigned_addresses(result: Result, ifname: str) -> tuple[IpAddress, ...]:
    """Return the addresses of the container's interface, in the result's order."""
    return tuple(assigned(address) for address in addresses_of(result, ifname))


def dns_of(result: Result) -> object:
    """Return a result's ``dns`` as it is, nothing when there is none."""
    return result.document.get("dns")


def _injected(plugin: dict[str, Any], info: NetworkInfo) -> dict[str, Any]:
    args = {**(plugin.get("args") or {}), RESERVED: {"network_info": encode_for_args(info)}}
    netconf = {**plugin, "args": args}
    capabilities = plugin.get("capabilities") or {}
    if info.port_mappings and capabilities.get(_PORT_MAPPINGS) is True:
        mappings = [
            {
                "hostPort": mapping.host_port,
                "containerPort": mapping.container_port,
                "protocol": (mapping.protocol or "tcp").lower(),
            }
            for mapping in info.port_mappings
        ]
        netconf["runtimeConfig"] = {**(plugin.get("runtimeConfig") or {}), _PORT_MAPPINGS: mappings}
    return netconf
