"""Which host this is, and which life of it."""

import os
from pathlib import Path

import pytest

from mesos_cni_port_mapper.linux import host

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class OldSocket:
    """A socket of a kernel that does not number its network namespaces."""

    def getsockopt(self, *_: int) -> bytes:
        raise OSError(92, os.strerror(92))

    def close(self) -> None:
        pass


def test_a_life_is_a_namespace_s_within_a_boot() -> None:
    here = host.this_host()

    boot, _, cookie = here.boot_id.partition("/")
    assert boot == BOOT_ID.read_text().strip()
    assert cookie == "" or int(cookie) > 0
    assert here == host.this_host()


def test_where_namespaces_have_no_number_the_boot_alone_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("_socket.socket", lambda *_: OldSocket())

    assert host.this_host().boot_id == BOOT_ID.read_text().strip()
