"""What a container's init is told: of a specification all that it needs, and decided already.

An init is forked from the cradle, and whatever that has imported is copied for each: so these are
values that are cheap to import, and few modules read them.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


class Mount(Value):
    """One mount, ``target`` as the container will see it; a bind has no ``kind``.

    ``about`` is what an error names: the flag or field it came from.
    """

    source: str
    target: str
    kind: str = ""
    flags: int = 0
    data: str = ""
    read_only: bool = False
    about: str = ""


class Link(Value):
    """A symbolic link in a directory that has just been mounted."""

    target: str
    text: str


class Command(Value):
    """What to run, as whom, where and with what of an environment; without a program nothing."""

    program: str | None = None
    argv: Sequence[str] = ()
    environment: Mapping[str, str] = {}
    user: str | None = None
    working_directory: str | None = None
    tty: bool = False


class Orders(Value):
    """A container to be: its root file system, what to mount in this order, and its command."""

    container_id: str
    rootfs: str | None
    mounts: Sequence[Mount | Link]
    command: Command


def encode_orders(orders: Orders) -> bytes:
    """Return orders as JSON."""
    mounts = [_document(each) for each in orders.mounts]
    command = _document(orders.command)
    return codec.encode({**_document(orders), "mounts": mounts, "command": command})


def decode_orders(data: bytes) -> Orders:
    """Read what ``encode_orders`` wrote."""
    document = codec.decode(data)
    mounts = [Link(**each) if "text" in each else Mount(**each) for each in document["mounts"]]
    return Orders(**{**document, "mounts": mounts, "command": Command(**document["command"])})


def _document(value: Value) -> dict[str, Any]:
    return {field: getattr(value, field) for field in type(value).fields}
