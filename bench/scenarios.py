"""What is compared, and what is expected of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesos_cni_port_mapper.portmap.traffic import IPTABLES, NFTABLES

PortMapping = tuple[int, int]
"""A host port and the container port that it leads to."""


@dataclass(frozen=True)
class Scenario:
    """An ADD and the DEL after it, for one container on a host in a certain state.

    With a neighbour, both sides find the chains that containers share. Without, ours makes and
    removes its own each time; portmap leaves its behind. ``options`` are keys true in ours.
    """

    work: str
    mappings: tuple[PortMapping, ...]
    snat: bool = True
    neighbour: bool = True
    foreign_rules: int = 0
    dual_stack: bool = False
    options: tuple[str, ...] = ()
    backend: str = IPTABLES
    expected: float | None = None

    @property
    def peer(self) -> str:
        """Name the other side."""
        return "portmap" if self.snat else "portmap snat=false"


def _scattered(count: int, expected: float | None = None) -> Scenario:
    # Out of the range that a Mesos agent offers unless told otherwise.
    mappings = tuple((31000 + 10 * index, 8000 + 3 * index) for index in range(count))
    return Scenario(f"{count} scattered", mappings, expected=expected)


EXPECTED_OF_VERSION = 1.15
"""Against a frozen program that does nothing: what the plugin's own modules may add."""

_EXPECTATIONS = (_scattered(1, 0.60), _scattered(10, 0.25), _scattered(100, 0.05))

_NATIVE = tuple(
    replace(item, work=f"{item.work}, nftables", backend=NFTABLES) for item in _EXPECTATIONS
)

# What portmap does unless told otherwise, done by both: it masquerades and serves the host's own
# 127.0.0.1. The expectations hold for that too.
_ALL_OPTIONS = ("snat", "localhost")
_LIKE = tuple(
    replace(item, work=f"{item.work}, snat, local", options=_ALL_OPTIONS) for item in _EXPECTATIONS
)

# What ours does unless told otherwise, done by both.
_PLAIN = tuple(replace(item, snat=False, expected=None) for item in _EXPECTATIONS)

# What the rest costs, each beside the plain rules of one mapping above.
_MORE = (
    replace(_scattered(1), work="1, snat", options=("snat",)),
    replace(_scattered(1), work="1, dual stack", snat=False, dual_stack=True),
    replace(
        _scattered(1),
        work="1, dual, snat, local",
        dual_stack=True,
        options=_ALL_OPTIONS,
    ),
)

_CONSECUTIVE = tuple((31000 + index, 31000 + index) for index in range(100))
_FAR_APART = tuple((1500 + 640 * index, 8000 + 3 * index) for index in range(100))
_OTHERS = (
    Scenario("100 consecutive", _CONSECUTIVE, snat=False),
    Scenario("100 far apart", _FAR_APART, snat=False),
    replace(_scattered(1), work="1, no neighbour", neighbour=False),
    replace(_scattered(1), work="1, 600 foreign rules", foreign_rules=600),
    replace(_scattered(10), work="10, 600 foreign rules", foreign_rules=600),
)


def scenarios(variant: str, *, quick: bool) -> Sequence[Scenario]:
    """Return what is measured with a variant of iptables: everything with Debian's default.

    Expectations are those of the default. In the legacy variant removing a rule does not wait for
    the kernel, so that both sides' DEL is little but starting programs; it is reported.
    """
    if variant != "nft":
        return tuple(replace(item, expected=None) for item in _EXPECTATIONS)
    if quick:
        return _EXPECTATIONS + _LIKE + _NATIVE
    return _EXPECTATIONS + _LIKE + _NATIVE + _PLAIN + _MORE + _OTHERS
