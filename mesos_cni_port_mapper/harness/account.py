"""Who runs the command: a user of the container, looked up in the container's own files.

Not through ``pwd``: with the container's root in place the C library would load name service
modules from it, into a process that is still the host's root.
"""

from __future__ import annotations

from mesos_cni_port_mapper.harness.errors import HarnessError
from mesos_cni_port_mapper.value import Value

_HIGHEST, _MOST_DIGITS = 0xFFFFFFFE, 10


class Account(Value):
    """The IDs to take, all groups of the user included, and the home directory."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def parse_account(text: str | None, passwd: str, group: str) -> Account:
    """Find ``user``, ``uid``, ``user:group`` or ``uid:gid`` in the two files' content."""
    user, _, primary = (text or "0").partition(":")
    entry = _entry(passwd, user, 7)
    if entry:
        uid, gid, home = _number(entry[2]), _number(entry[3]), entry[5] or "/"
    elif _is_number(user):
        uid, gid, home = int(user), 0, "/"
    else:
        raise HarnessError(f"user: there is no user {user!r} in the container's /etc/passwd")
    if primary:
        gid = _group(primary, group)
    name = entry[0] if entry else ""
    return Account(uid=uid, gid=gid, groups=_groups_of(name, group, gid), home=home)


def _group(text: str, group: str) -> int:
    entry = _entry(group, text, 4)
    if entry:
        return _number(entry[2])
    if _is_number(text):
        return int(text)
    raise HarnessError(f"user: there is no group {text!r} in the container's /etc/group")


def _groups_of(name: str, group: str, gid: int) -> tuple[int, ...]:
    found = {gid}
    for line in group.splitlines():
        fields = line.split(":") if name and name in line else []
        if len(fields) == 4 and name in fields[3].split(",") and _is_number(fields[2]):
            found.add(int(fields[2]))
    return tuple(sorted(found))


def _entry(content: str, wanted: str, count: int) -> list[str] | None:
    """Return the fields of the line for a name, or else for a number."""
    lines = [line.split(":") for line in content.splitlines() if wanted in line]
    lines = [fields for fields in lines if len(fields) >= count]
    for position in (0, 2):
        for fields in lines:
            if fields[position] == wanted:
                return fields
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS and int(text) <= _HIGHEST


def _number(text: str) -> int:
    if not _is_number(text):
        raise HarnessError(f"user: {text!r} in the container's /etc/passwd is no number")
    return int(text)
