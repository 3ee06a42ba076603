"""What ADD answers is what the delegate alone would have answered, in every version."""

import re
from typing import Any

import pytest

from tests.netns.networks import CHAIN, Network, bridged, tcp
from tests.support.delegates import VERSIONS
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Plugin

# Debian 12's reference plugins do not know 1.1.0 yet.
KNOWN_TO_DEBIAN = [version for version in VERSIONS if version != "1.1.0"]


def alike(document: Any) -> Any:
    """Return a result with what differs between any two containers taken out."""
    if isinstance(document, dict):
        return {key: _alike(key, value) for key, value in document.items()}
    if isinstance(document, list):
        return [alike(item) for item in document]
    return document


def _alike(key: str, value: Any) -> Any:
    if key in ("mac", "sandbox"):
        return bool(value)
    if key == "name":
        return re.sub(r"^veth\w+$", "veth", value)
    return alike(value)


def answers(host: Host, network: Network, version: str | None) -> tuple[Any, Any]:
    """Return what we and the delegate alone answer, each for the first container of a network."""
    netconf = {**network.netconf["delegate"], "name": "alone"}
    if version is not None:
        netconf["cniVersion"] = version
    netconf["ipam"] = {**netconf["ipam"], "dataDir": "/run/alone"}
    ours = network.but(cniVersion=version).task(host.container("ours"), tcp(8080)).attach()
    alone = Plugin(host, f"{PLUGIN_DIRECTORY}/bridge").add(host.container("alone"), netconf)
    return alike(ours.document), alike(alone.document)


@pytest.mark.parametrize("version", [*KNOWN_TO_DEBIAN, None])
def test_the_answer_is_what_the_delegate_alone_would_have_said(
    host: Host, plugin: Plugin, version: str | None
) -> None:
    ours, alone = answers(host, bridged(plugin), version)

    assert ours == alone
    assert ours["cniVersion"] == version or version is None
    assert len(host.chain(CHAIN) or []) == 1


def test_a_delegate_too_old_for_the_version_is_asked_in_one_it_knows(
    host: Host, plugin: Plugin
) -> None:
    refused = Plugin(host, f"{PLUGIN_DIRECTORY}/bridge").add(
        host.container("refused"),
        {**bridged(plugin).netconf["delegate"], "name": "alone", "cniVersion": "1.1.0"},
    )
    web = bridged(plugin, cniVersion="1.1.0").task(host.container("web-1"), tcp(8080))

    answer = web.attach()
    checked = web.check(answer.document)
    web.detach()

    assert refused.code == 1
    assert answer.document["cniVersion"] == "1.1.0"
    assert answer.addresses == ["10.1.0.2/24"]
    assert checked.status == 0


def test_a_delegate_of_another_version_is_answered_for_in_ours(host: Host, plugin: Plugin) -> None:
    delegate = {**bridged(plugin).netconf["delegate"], "cniVersion": "1.0.0"}

    answer = bridged(plugin, delegate=delegate).task(host.container("web-1"), tcp(8080)).attach()

    assert answer.document["ip4"] == {
        "ip": "10.1.0.2/24",
        "gateway": "10.1.0.1",
        "routes": [{"dst": "0.0.0.0/0"}],
    }


def test_a_delegate_of_another_version_of_the_same_shape_is_answered_for_in_ours(
    host: Host, plugin: Plugin
) -> None:
    delegate = {**bridged(plugin).netconf["delegate"], "cniVersion": "0.3.1"}
    network = bridged(plugin, delegate=delegate, cniVersion="0.4.0")

    answer = network.task(host.container("web-1"), tcp(8080)).attach()

    assert answer.document["cniVersion"] == "0.4.0"
    assert answer.addresses == ["10.1.0.2/24"]
