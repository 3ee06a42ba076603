"""`ports repair` and `restore` in memory: what a plugin works on is left to the plugin."""

from pathlib import Path

import pytest

from mesos_cni_port_mapper.cli.ports.repair import _repair
from mesos_cni_port_mapper.cli.ports.restore import _restore
from mesos_cni_port_mapper.cli.ports.setting import Setting
from mesos_cni_port_mapper.cni.errors import RULES_FAILED, CniError
from mesos_cni_port_mapper.linux.host import Host
from mesos_cni_port_mapper.portmap.attachment import tag_of
from tests.unit.memory_host import MemoryBackEnds, MemoryHost, record
from tests.unit.memory_table import MemoryTable

HERE = Host(network_namespace=1, mount_namespace=1, boot_id="b00t")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryHost:
    return MemoryHost(tmp_path, monkeypatch)


def setting(host: MemoryHost) -> Setting:
    return Setting(
        state_dir=str(host.directory),
        host=HERE,
        environ={},
        backends=MemoryBackEnds(host.tools),
        ledger=host.ledger,
    )


def on_record(host: MemoryHost) -> set[str]:
    return {each.attachment.container_id for each in host.ledger.records()}


def test_a_repair_leaves_who_is_gone_to_the_del_that_is_at_it(host: MemoryHost) -> None:
    for name, port in (("a", 1), ("b", 2)):
        host.add(record(name, port, boot_id="before"))
    plugin = host.forwarder()
    plugin.resume(record("a").attachment)

    done = _repair(setting(host))

    assert [each.record.attachment.container_id for each in done.stale] == ["b"]
    assert (host.tags, on_record(host)) == (["a"], {"a"})
    plugin.close()
    assert [each.record.attachment.container_id for each in _repair(setting(host)).stale] == ["a"]


def test_a_restoration_leaves_rules_to_the_plugin_that_is_at_them(host: MemoryHost) -> None:
    host.add(record("a", 1))
    host.add(record("b", 2))
    host.nat.chains = MemoryTable().chains
    plugin = host.forwarder()
    plugin.resume(record("a").attachment)

    done, _ = _restore(setting(host))

    assert [each.attachment.container_id for each in done.records] == ["b"]
    assert host.tags == ["b"]
    plugin.close()


def test_who_is_gone_stays_on_record_while_rules_may_remain(host: MemoryHost) -> None:
    host.add(record("a", 1, boot_id="before"))
    host.fail(CniError(RULES_FAILED, "no"))

    done = _repair(setting(host))

    assert done.restored.problems == ("no",)
    assert on_record(host) == {"a"}
    assert _repair(setting(host)).restored.marks == (tag_of(record("a").attachment),)
    assert (host.tags, on_record(host)) == ([], set())
