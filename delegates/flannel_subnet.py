"""``subnet.env``: what Flannel gave this host, as ``flanneld`` writes it.

::

    FLANNEL_NETWORK=10.42.0.0/16
    FLANNEL_SUBNET=10.42.31.1/24
    FLANNEL_MTU=1450
    FLANNEL_IPMASQ=true
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni.address import BITS, number_of, split_prefix, text_of
from mesos_cni_port_mapper.cni.errors import INTERNAL, CniError
from mesos_cni_port_mapper.cni.fields import shown
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_FAMILIES = (
    (4, "FLANNEL_NETWORK", "FLANNEL_SUBNET"),
    (6, "FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_SUBNET"),
)
_MTU, _MASQUERADES = "FLANNEL_MTU", "FLANNEL_IPMASQ"
_TRUTH = {"true": True, "false": False}
_LARGEST_MTU = 65535


class Subnet(Value):
    """What Flannel gave this host, addresses with their prefix length.

    ``networks`` are all of Flannel's on any host, ``subnets`` those of this host's containers, one
    of a family. ``masquerades`` says that Flannel itself hides the containers' addresses.
    """

    networks: tuple[str, ...]
    subnets: tuple[str, ...]
    mtu: int
    masquerades: bool


def parse_subnet(path: str, content: bytes) -> Subnet:
    """Return what the file ``path`` says, or raise ``CniError`` (code 999) naming it.

    Either family may be left out as a whole, and other lines may be there.
    """
    pairs = {}
    for line in content.decode(errors="replace").splitlines():
        key, _, value = line.partition("=")
        pairs[key.strip()] = value.strip()
    families = [names for names in _FAMILIES if pairs.get(names[1]) or pairs.get(names[2])]
    wanted = [name for _, *names in families or _FAMILIES[:1] for name in names]
    missing = [name for name in (*wanted, _MTU, _MASQUERADES) if not pairs.get(name)]
    if missing:
        raise CniError(INTERNAL, f"{path} has no {', '.join(missing)}")
    networks: list[str] = []
    subnets = []
    for family, network, subnet in families:
        networks += [_network(path, network, family, text) for text in pairs[network].split(",")]
        subnets.append(_network(path, subnet, family, pairs[subnet]))
    mtu, masquerades = pairs[_MTU], pairs[_MASQUERADES]
    if not (mtu.isascii() and mtu.isdigit() and 0 < int(mtu) <= _LARGEST_MTU):
        _refuse(path, _MTU, mtu, f"a whole number from 1 to {_LARGEST_MTU}")
    if masquerades not in _TRUTH:
        _refuse(path, _MASQUERADES, masquerades, "true or false")
    return Subnet(
        networks=tuple(networks),
        subnets=tuple(subnets),
        mtu=int(mtu),
        masquerades=_TRUTH[masquerades],
    )


def _network(path: str, key: str, family: int, text: str) -> str:
    """Return the network that an address with its prefix length is in."""
    try:
        address, prefix = split_prefix(text.strip())
        found, number = number_of(address)
    except ValueError:
        found, number, prefix = 0, 0, 0
    if found != family:
        _refuse(path, key, text, f"an IPv{family} address with a prefix length")
    host_bits = BITS[family] - prefix
    return f"{text_of(family, number >> host_bits << host_bits)}/{prefix}"


def _refuse(path: str, key: str, value: str, expected: str) -> NoReturn:
    raise CniError(INTERNAL, f"{path}: {key} must be {expected}, not {shown(value)}")
