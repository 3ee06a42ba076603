"""Which names the specification and the reference library allow (libcni, pkg/utils).

Whatever passes here can stand in a rule's comment, a file name or an error message as it is.
"""

from __future__ import annotations

_ALPHANUMERIC = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_WORD = _ALPHANUMERIC | frozenset("_.-")
_LONGEST_INTERFACE_NAME = 15
_NOT_IN_INTERFACE_NAMES = frozenset("/: \"'\\")


def is_name(text: str) -> bool:
    """Tell whether ``text`` may name a container."""
    return bool(text) and text[0] in _ALPHANUMERIC and _WORD.issuperset(text)


def is_network_name(text: str) -> bool:
    """Tell whether ``text`` may name a network.

    Those of Mesos' own tests begin with ``__MESOS_TEST__``, which the library would not allow.
    """
    return is_name(text.lstrip("_"))


def is_plugin_type(text: str) -> bool:
    """Tell whether ``text`` may name a plugin: a file name, so that CNI_PATH cannot be left."""
    return bool(text) and "/" not in text and text.isprintable() and text not in (".", "..")


def is_interface_name(text: str) -> bool:
    """Tell whether the kernel would take ``text`` as an interface name (dev_valid_name).

    It would take quotes, backslashes and other alphabets too; those would not survive a comment.
    """
    return (
        0 < len(text) <= _LONGEST_INTERFACE_NAME
        and text not in (".", "..")
        and text.isascii()
        and text.isprintable()
        and not _NOT_IN_INTERFACE_NAMES.intersection(text)
    )


def is_device_pattern(text: str) -> bool:
    """Tell whether ``text`` names a device, or with a ``+`` at its end devices, to iptables."""
    stem = text.removesuffix("+")
    return is_interface_name(text) and _WORD.issuperset(stem) and bool(stem) and stem[0] not in "-!"
