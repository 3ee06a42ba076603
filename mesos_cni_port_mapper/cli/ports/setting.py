"""What every command about port mappings works on: the state of this network namespace."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.harness.errors import HarnessError, UsageError, one_line
from mesos_cni_port_mapper.linux import files, process, signals
from mesos_cni_port_mapper.linux.host import Host, this_host
from mesos_cni_port_mapper.linux.lock import LockHeldError
from mesos_cni_port_mapper.netfilter.backends import BackEnds
from mesos_cni_port_mapper.netfilter.forwarder import Forwarder
from mesos_cni_port_mapper.netfilter.gate import Gate
from mesos_cni_port_mapper.netfilter.inventory import Holding, take_inventory
from mesos_cni_port_mapper.netfilter.ledger import Ledger
from mesos_cni_port_mapper.netfilter.rehearsal import (
    Batch,
    IdleGate,
    RehearsedBackEnds,
    RehearsedForwarder,
)
from mesos_cni_port_mapper.portmap.attachment import Attachment
from mesos_cni_port_mapper.portmap.configuration import Timeouts

_NET_ADMIN = 12
"""The number of CAP_NET_ADMIN (include/uapi/linux/capability.h)."""


@dataclass(frozen=True)
class Setting:
    """The host, what is on record in its network namespace, and the tools it has.

    ``state_dir`` holds a directory for each network namespace.
    """

    state_dir: str
    host: Host
    environ: dict[str, str]
    backends: BackEnds
    ledger: Ledger

    def forwarder(self) -> Forwarder:
        """Return what makes and removes the rules of one attachment."""
        kind = RehearsedForwarder if self._is_rehearsal() else Forwarder
        return kind(self.ledger, self.backends, Timeouts().lock)

    def gate(self) -> Gate:
        """Return the way out of loopback."""
        return (IdleGate if self._is_rehearsal() else Gate)(ledger=self.ledger)

    def tape(self) -> list[Batch]:
        """Return what has been rehearsed."""
        return self.backends.tape if isinstance(self.backends, RehearsedBackEnds) else []

    def _is_rehearsal(self) -> bool:
        return isinstance(self.backends, RehearsedBackEnds)

    def holdings(self) -> list[Holding]:
        """Return everybody on record, the oldest first."""
        return take_inventory(self.ledger, self.host)

    def has_state(self) -> bool:
        """Tell whether a port mapper has ever worked here with this state directory."""
        return os.path.isdir(f"{self.ledger.directory}/attachments")


def open_setting(
    state_dir: str, make: Callable[[dict[str, str], float], BackEnds] = BackEnds
) -> Setting:
    """Return the setting of this process; ``make`` makes the tools."""
    need_privilege()
    host = this_host()
    environ = process.original_environment(os.environ)
    # Children are waited for by signal.
    signals.hold()
    return Setting(
        state_dir=state_dir,
        host=host,
        environ=environ,
        backends=make(environ, Timeouts().tools),
        ledger=Ledger(directory=f"{state_dir}/{host.network_namespace}"),
    )


@contextlib.contextmanager
def open_rehearsal(state_dir: str) -> Iterator[Setting]:
    """Give the setting of this process with a copy of its state, and tools that change nothing."""
    setting = open_setting(state_dir, RehearsedBackEnds)
    with copied(setting.ledger) as ledger:
        yield replace(setting, ledger=ledger)


@contextlib.contextmanager
def copied(ledger: Ledger) -> Iterator[Ledger]:
    """Give a copy of what is on record, to be thrown away."""
    with tempfile.TemporaryDirectory(prefix="mesos-cni-") as directory:
        copy = f"{directory}/state"
        if os.path.isdir(ledger.directory):
            # Somebody may be at work: what goes meanwhile need not be copied.
            with contextlib.suppress(shutil.Error):
                shutil.copytree(ledger.directory, copy)
        yield Ledger(directory=copy)


def need_privilege() -> None:
    """Complain unless the kernel would show us its tables."""
    for line in (files.read("/proc/self/status") or b"").decode().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff" and not int(value, 16) >> _NET_ADMIN & 1:
            raise HarnessError("this needs CAP_NET_ADMIN: run it as root, with sudo for example")


@contextlib.contextmanager
def told(*usage: int) -> Iterator[None]:
    """Give errors the form that commands have for them; codes of ``usage`` are of wrong input."""
    try:
        yield
    except CniError as error:
        if error.code in usage:
            raise UsageError(str(error)) from error
        raise HarnessError(str(error)) from error
    except signals.Interrupted as interruption:
        raise HarnessError(str(interruption), 128 + interruption.number) from interruption
    except OSError as error:
        raise HarnessError(one_line(error)) from error


def encode_attachment(attachment: Attachment) -> dict[str, Any]:
    """Return an attachment as every document of these commands has it."""
    return {
        "container_id": attachment.container_id,
        "network": attachment.network,
        "interface": attachment.ifname,
    }


def wait_for_busy(setting: Setting) -> None:
    """Wait for plugins that work on an attachment, as long as they wait for one another.

    The lock of the ledger must not be held, which they may be waiting for.
    """
    deadline = time.monotonic() + Timeouts().lock
    for holding in setting.holdings():
        if holding.is_busy:
            left = max(deadline - time.monotonic(), 0.01)
            with contextlib.suppress(LockHeldError):
                entry = setting.ledger.open(holding.record.attachment, left)
                if entry is not None:
                    entry.close()
