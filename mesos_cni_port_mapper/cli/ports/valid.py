"""Which attachments are valid, as somebody says who knows: a state directory, a file, stdin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.cni.garbage import parse_valid_attachments
from mesos_cni_port_mapper.cni.names import is_interface_name, is_name
from mesos_cni_port_mapper.harness.errors import UsageError, one_line
from mesos_cni_port_mapper.isolator.checkpoints import Checkpoints
from mesos_cni_port_mapper.isolator.paths import state_root
from mesos_cni_port_mapper.portmap.attachment import Attachment

_FLAG = "--valid-from"
_LIST = "cni.dev/valid-attachments"
_USUAL_INTERFACE = "eth0"


@dataclass(frozen=True)
class Valid:
    """A container that is there, on one network or any, by one interface or any ("")."""

    container_id: str
    ifname: str = ""
    network: str = ""

    def is_for(self, attachment: Attachment) -> bool:
        """Tell whether an attachment is meant."""
        return (
            self.container_id == attachment.container_id
            and self.ifname in ("", attachment.ifname)
            and self.network in ("", attachment.network)
        )


def read_valid(source: str) -> list[Valid]:
    """Read what is valid; raises ``UsageError`` naming the line or field."""
    if source != "-" and os.path.isdir(source):
        return _read_state(Path(source))
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{_FLAG}: {one_line(error)}") from error
    return parse_valid(text)


def parse_valid(text: str) -> list[Valid]:
    """Parse a list: JSON, or a line "CONTAINER [IFNAME]" for each.

    An empty text is rather the output of a command that failed than a list of nothing.
    """
    if not text.strip():
        raise UsageError(f"{_FLAG}: is empty; say [] if nothing is valid")
    if text.lstrip().startswith(("[", "{")):
        return _parse_json(text)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    for words in lines:
        if len(words) > 2 or not is_name(words[0]) or not all(map(is_interface_name, words[1:])):
            raise UsageError(f"{_FLAG}: {shown(' '.join(words))} is no CONTAINER [IFNAME]")
    return [Valid(*words) for words in lines]


def named(valid: Iterable[Valid], network: str, known: Iterable[Attachment]) -> list[Attachment]:
    """Return the valid attachments of a network; ``known`` tell interfaces that are not named."""
    found = []
    for each in valid:
        if each.network in ("", network):
            own = [one for one in known if one.network == network and each.is_for(one)]
            found += own
            found.append(
                Attachment(
                    network=network,
                    container_id=each.container_id,
                    ifname=each.ifname or _USUAL_INTERFACE,
                )
            )
    return list(dict.fromkeys(found))


def _parse_json(text: str) -> list[Valid]:
    try:
        document = codec.decode(text.encode())
        found = parse_valid_attachments(
            document if isinstance(document, dict) else {_LIST: document}
        )
    except (CniError, ValueError) as error:
        raise UsageError(f"{_FLAG}: {one_line(error)}") from error
    if found is None:
        raise UsageError(f"{_FLAG}: the object has no {_LIST}")
    return [Valid(container_id, ifname) for container_id, ifname in found]


def _read_state(directory: Path) -> list[Valid]:
    root = state_root(directory)
    if not root.is_dir():
        raise UsageError(f"{_FLAG}: {directory} is no state directory: there is no {root}")
    checkpoints = Checkpoints(root)
    found = []
    try:
        for container_id in checkpoints.containers():
            with checkpoints.open(container_id) as state:
                found += [
                    Valid(container_id, ifname, network.name)
                    for network in state.networks()
                    # Without an interface it is being attached, or was detached a moment ago.
                    for ifname in network.ifnames or ("",)
                ]
    except OSError as error:
        raise UsageError(f"{_FLAG}: {one_line(error)}") from error
    return found
