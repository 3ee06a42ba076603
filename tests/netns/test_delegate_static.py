"""static as a program."""

from pathlib import Path
from typing import Any

import pytest

from tests.netns.injection import assert_failed
from tests.support.gate import need
from tests.support.host import Host
from tests.support.plugin import PLUGIN_DIRECTORY, Answer, Plugin

IPAM = {
    "type": "static",
    "addresses": [{"address": "10.1.2.5/24", "gateway": "10.1.2.1"}, {"address": "FD00:1:0::5/64"}],
    "routes": [{"dst": "0.0.0.0/0"}],
    "dns": {"nameservers": ["10.1.2.53"]},
}


@pytest.fixture
def static(host: Host, delegates_dir: Path) -> Plugin:
    return Plugin(host, str(delegates_dir / "static"))


def run(plugin: Plugin, command: str, version: str = "1.0.0", **options: Any) -> Answer:
    netconf = {"cniVersion": version, "name": "net", "type": "any", "ipam": IPAM}
    netconf |= options.pop("netconf", {})
    options.setdefault("CNI_NETNS", "/run/netns/web-1")
    return plugin.run(command, None, netconf, container_id="web-1", **options)


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"])
@pytest.mark.parametrize("args", [None, "IgnoreUnknown=1;A=b;GATEWAY=10.1.2.1"])
def test_answers_are_debians(host: Host, static: Plugin, version: str, args: str | None) -> None:
    need(f"{PLUGIN_DIRECTORY}/static")
    debian = Plugin(host, f"{PLUGIN_DIRECTORY}/static")

    ours = run(static, "ADD", version, CNI_ARGS=args)

    assert ours.status == 0
    assert ours.document == run(debian, "ADD", version, CNI_ARGS=args).document


def test_an_attachment_lives_through_add_check_and_del(static: Plugin) -> None:
    added = run(static, "ADD", "1.1.0")
    previous = {"prevResult": added.document}

    assert added.addresses == ["10.1.2.5/24", "fd00:1::5/64"]
    assert run(static, "CHECK", "1.1.0", netconf=previous).status == 0
    assert run(static, "DEL", "1.1.0", netconf=previous, CNI_NETNS="").stdout == b""


def test_check_sees_an_address_that_was_not_given(static: Plugin) -> None:
    other = {"cniVersion": "1.0.0", "ips": [{"address": "10.1.2.6/24"}]}

    assert_failed(run(static, "CHECK", netconf={"prevResult": other}), 999, "10.1.2.5/24")


def test_an_address_without_a_prefix_is_refused_with_its_path(static: Plugin) -> None:
    wrong = {"ipam": {"addresses": [{"address": "10.1.2.5"}]}}

    assert_failed(run(static, "ADD", netconf=wrong), 7, "ipam.addresses[0].address: '10.1.2.5'")
