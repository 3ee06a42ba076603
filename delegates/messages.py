"""pyroute2's classes for rtnetlink messages, and nothing else of it.

``import pyroute2`` takes 100 ms, twice what all the rest of an ADD takes, and brings sockets and
threads of its own. Its message classes need none of that: they are imported below an empty parent
package, each kind when the first message of it is made.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def link_message(data: bytes | None = None) -> Any:
    """Return a message about a link, a new one or one that is to be decoded."""
    _have_parent()
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # type: ignore[import-untyped]

    return ifinfmsg(data)


def address_message(data: bytes | None = None) -> Any:
    """Return a message about an address, likewise."""
    _have_parent()
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # type: ignore[import-untyped]

    return ifaddrmsg(data)


def route_message(data: bytes | None = None) -> Any:
    """Return a message about a route, likewise."""
    _have_parent()
    from pyroute2.netlink.rtnl.rtmsg import rtmsg  # type: ignore[import-untyped]

    return rtmsg(data)


def decoded(message: Any) -> Any:
    """Return a message once its parts can be read."""
    message.decode()
    return message


def import_all() -> None:
    """Import every kind now, for a process that is to be forked."""
    link_message()
    address_message()
    route_message()


def _have_parent() -> None:
    """Put an empty package in place of ``pyroute2`` unless that is imported already."""
    if "pyroute2" in sys.modules:
        return
    for finder in sys.meta_path:
        spec = finder.find_spec("pyroute2", None)
        if spec is not None:
            parent = type(sys)("pyroute2")
            parent.__path__ = spec.submodule_search_locations or []
            sys.modules["pyroute2"] = parent
            return
