"""What a runtime says of garbage: the attachments of a network that are none."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.fields import Section, refuse, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")


def parse_valid_attachments(netconf: dict[str, Any]) -> list[tuple[str, str]] | None:
    """Return the attachments GC is to leave alone, as container IDs and interface names.

    Nothing at all, or null, is no list: who does not say what is valid does not say what is not.
    The key had another name in drafts of version 1.1.0.
    """
    section = Section(netconf)
    for key in _KEYS:
        if section.has(key):
            items = section.array(key)
            return [_parse_attachment(f"{key}[{index}]", each) for index, each in enumerate(items)]
    return None


def _parse_attachment(path: str, item: object) -> tuple[str, str]:
    if not isinstance(item, dict):
        refuse(path, f"must be an object, not {shown(item)}")
    section = Section(item, path)
    for key in ("containerID", "ifname"):
        if not section.string(key):
            refuse(section.path_of(key), "is empty")
    return section.string("containerID"), section.string("ifname")
