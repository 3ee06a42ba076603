"""What host-local is configured to do: which addresses there are, and which are wanted.

The keys are those of the reference plugin (1.1.1) and one of our own, ``timeouts.lock`` (seconds).
"""

from __future__ import annotations

from delegates.cni_args import parse_cni_args
from delegates.host_local.allocation import Range
from delegates.ipam_fields import (
    parse_address,
    parse_prefixed,
    parse_routes,
    refuse_too_many,
    requested_addresses,
)
from mesos_cni_port_mapper.cni.address import BITS, number_of, text_of
from mesos_cni_port_mapper.cni.errors import INVALID_ENVIRONMENT
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from delegates.host_local.allocation import Address, RangeSet
    from mesos_cni_port_mapper.cni.request import Request

_DATA_DIRECTORY = "/var/lib/cni/networks"
_LOCK_SECONDS = 15.0


class Place(Value):
    """Where a network's addresses are written down, and how long to wait for others there."""

    directory: str
    lock_seconds: float


class Configuration(Value):
    """One address is given from each of ``sets``; ``requested`` ones must be among them."""

    sets: tuple[RangeSet, ...]
    requested: tuple[Address, ...]
    routes: list[dict[str, Any]]
    resolv_conf: str


def parse_place(request: Request) -> Place:
    """Return all that has to be known to give addresses back, whatever else has changed."""
    netconf = Section(request.netconf)
    ipam = netconf.section("ipam")
    data_directory = ipam.string("dataDir", "") or _DATA_DIRECTORY
    return Place(
        directory=f"{data_directory}/{netconf.string('name')}",
        lock_seconds=ipam.optional_section("timeouts").seconds("lock", _LOCK_SECONDS),
    )


def parse_configuration(request: Request) -> Configuration:
    """Check everything that says which addresses there are and which are wanted (codes 4 and 7)."""
    netconf = Section(request.netconf)
    ipam = netconf.section("ipam")
    sets = _parse_sets(netconf, ipam)
    refuse_too_many(request, [ranges[0].family for ranges in sets])
    return Configuration(
        sets=sets,
        requested=_parse_requested(request, netconf),
        routes=parse_routes(ipam, request.version),
        resolv_conf=ipam.string("resolvConf", ""),
    )


def _parse_sets(netconf: Section, ipam: Section) -> tuple[RangeSet, ...]:
    """Return the runtime's sets, the one written without ``ranges``, and those in ``ranges``."""
    capability = netconf.optional_section("runtimeConfig")
    paths, sets = _parse_arrays(capability, "ipRanges")
    if ipam.has("subnet"):
        paths.append(ipam.path_of("subnet"))
        sets.append((_parse_range(ipam),))
    more_paths, more_sets = _parse_arrays(ipam, "ranges")
    paths += more_paths
    sets += more_sets
    if not sets:
        refuse(ipam.path_of("ranges"), "is missing, and so is subnet: there is no address to give")
    for index, ranges in enumerate(sets):
        for other in range(index):
            if _overlap(ranges, sets[other]):
                refuse(paths[index], f"overlaps with {paths[other]}")
    return tuple(sets)


def _parse_arrays(section: Section, key: str) -> tuple[list[str], list[RangeSet]]:
    paths, sets = [], []
    for index, given in enumerate(section.array(key)):
        path = f"{section.path_of(key)}[{index}]"
        if not isinstance(given, list):
            refuse(path, f"must be an array of ranges, not {shown(given)}")
        paths.append(path)
        sets.append(_parse_set(path, given))
    return paths, sets


def _parse_set(path: str, given: Sequence[Any]) -> RangeSet:
    if not given:
        refuse(path, "is an empty set of ranges")
    ranges: list[Range] = []
    for index, item in enumerate(given):
        item_path = f"{path}[{index}]"
        if not isinstance(item, dict):
            refuse(item_path, f"must be an object, not {shown(item)}")
        parsed = _parse_range(Section(item, item_path))
        if parsed.family != (ranges or [parsed])[0].family:
            refuse(item_path, f"is of IPv{parsed.family} in a set of the other family")
        if _overlap((parsed,), ranges):
            refuse(item_path, "overlaps with another range of its set")
        ranges.append(parsed)
    return tuple(ranges)


def _parse_range(section: Section) -> Range:
    path = section.path_of("subnet")
    address, prefix = parse_prefixed(path, section.string("subnet"))
    family, network = number_of(address)
    size = 1 << (BITS[family] - prefix)
    if size < 4:
        refuse(path, f"{address}/{prefix} is too small to give addresses from")
    if network % size:
        base = text_of(family, network - network % size)
        refuse(
            path, f"{address}/{prefix} has bits beyond its prefix; the network is {base}/{prefix}"
        )
    last = network + size - 1
    # Only IPv4 has a broadcast address, and whoever names it as the end may have it given.
    usual_end = last - 1 if family == 4 else last
    subnet = Range(
        family=family, start=network, end=last, prefix=prefix, gateway=(family, network + 1)
    )
    start = _bound(section, "rangeStart", subnet, network + 1)
    end = _bound(section, "rangeEnd", subnet, usual_end)
    if start > end:
        refuse(section.path_of("rangeStart"), f"is behind the range's end {text_of(family, end)}")
    gateway = parse_address(section, "gateway") or subnet.gateway
    return subnet.but(start=start, end=end, gateway=gateway)


def _bound(section: Section, key: str, subnet: Range, default: int) -> int:
    address = parse_address(section, key)
    if address is None:
        return default
    if not subnet.holds(address):
        network = f"{text_of(subnet.family, subnet.start)}/{subnet.prefix}"
        refuse(section.path_of(key), f"{text_of(*address)} is not in {network}")
    return address[1]


def _overlap(ranges: Sequence[Range], others: Sequence[Range]) -> bool:
    return any(one.overlaps(other) for one in ranges for other in others)


def _parse_requested(request: Request, netconf: Section) -> tuple[Address, ...]:
    """Return what CNI_ARGS, conventional arguments and the runtime ask for, all of it.

    A prefix length may be there and says nothing: the range has one.
    """
    asked = parse_cni_args(request.environ, ("IP",)).get("IP", "")
    requested = [_requested("CNI_ARGS: IP", asked, INVALID_ENVIRONMENT)] if asked else []
    for path, texts in requested_addresses(netconf):
        requested += [_requested(path, text) for text in texts]
    return tuple(requested)


def _requested(path: str, text: str, *code: int) -> Address:
    try:
        return number_of(text.partition("/")[0])
    except ValueError:
        refuse(path, f"{shown(text)} is no address", *code)
