"""The back ends that must behave alike; every test of this folder runs on each of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.support.host import Variant


@dataclass(frozen=True)
class BackEnd:
    """What stands between a plan and the kernel: the host's iptables, and keys that choose."""

    name: str
    variant: Variant
    keys: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_chains(self) -> bool:
        """Whether its rules are in the chains that iptables knows."""
        return self.keys.get("backend") != "nftables"

    @property
    def is_iptables(self) -> bool:
        """Whether it is the host's iptables(8) that makes its rules."""
        return "backend" not in self.keys

    def __str__(self) -> str:
        return self.name


BACK_ENDS = (
    BackEnd("iptables-nft", "nft"),
    BackEnd("iptables-legacy", "legacy"),
    BackEnd("libiptc", "legacy", {"backend": "libiptc"}),
    BackEnd("nftables", "nft", {"backend": "nftables"}),
)
