"""Name servers for a container, read from a file like resolv.conf(5)."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_resolv_conf(text: str) -> dict[str, Any]:
    """Return a result's ``dns``: the last domain and all of the rest.

    Comments are lines with an unknown first word, and those say nothing.
    """
    said: dict[str, list[str]] = {"nameserver": [], "domain": [], "search": [], "options": []}
    for line in text.split("\n"):
        keyword, *words = line.split() or [""]
        if keyword in said:
            said[keyword] += words if keyword in ("search", "options") else words[:1]
    dns = {
        "nameservers": said["nameserver"],
        "domain": said["domain"][-1] if said["domain"] else "",
        "search": said["search"],
        "options": said["options"],
    }
    return {key: value for key, value in dns.items() if value}
