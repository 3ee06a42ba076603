"""Who owns which port: a file of the state directory for each protocol and 256 ports.

``{"PORT": {"HOST ADDRESS": "NAME"}}``, with ``0.0.0.0`` and ``::`` for all addresses of a family,
and ``"NAME+NAME"``, the newest first, where several may have a port. A name is that of a record,
and a claim whose record is gone is void.
"""

from __future__ import annotations

import os

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.linux import files
from mesos_cni_port_mapper.portmap.mapping import ANY, ports_of
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mesos_cni_port_mapper.portmap.mapping import Port, PortMapping

    Holders = dict[str, set[Port]]

_PORTS_IN_A_BLOCK = 256


class Claims(Value):
    """The directory of those files. Methods raise ``OSError``."""

    directory: str

    def find(self, mappings: Iterable[PortMapping], but: str) -> tuple[Holders, Holders]:
        """Return the ports that are claimed by whom: the same ones, and those of one address only.

        The latter are of what is asked for on all addresses. Claims of ``but`` do not count.
        """
        same: Holders = {}
        narrower: Holders = {}
        for block, ports in _by_block(mappings).items():
            claims = self._read(block)
            for port in ports:
                for address, names in claims.get(str(port[1]), {}).items():
                    if address == _address_in(port):
                        found, claimed = same, port
                    elif not port[3] and _is_narrower(address, port):
                        found, claimed = narrower, (*port[:3], address)
                    else:
                        continue
                    for name in names.split("+"):
                        if name != but:
                            found.setdefault(name, set()).add(claimed)
        return same, narrower

    def take(self, mappings: Iterable[PortMapping], name: str, sharers: Collection[str]) -> None:
        """Make a name the owner of ports, the only one but for who has them and may share them."""
        for block, ports in _by_block(mappings).items():
            claims = self._read(block)
            for port in ports:
                holders = claims.setdefault(str(port[1]), {})
                before = holders.get(_address_in(port), "").split("+") if sharers else []
                others = [each for each in before if each in sharers]
                holders[_address_in(port)] = "+".join([name, *others])
            self._write(block, claims)

    def leave(self, mappings: Iterable[PortMapping], name: str) -> None:
        """Give up the ports that still belong to a name."""
        left = []
        for block, ports in _by_block(mappings).items():
            claims = self._read(block)
            for port in ports:
                holders = claims.get(str(port[1]), {})
                names = holders.pop(_address_in(port), "").split("+")
                others = [each for each in names if each not in ("", name)]
                if others:
                    holders[_address_in(port)] = "+".join(others)
            left.append((block, {port: held for port, held in claims.items() if held}))
        # The empty ones first: they make the room that writing takes where none is left.
        for block, claims in sorted(left, key=lambda item: bool(item[1])):
            self._write(block, claims)

    def keep(self, known: Collection[str]) -> None:
        """Void the claims of all names but these."""
        for block in os.listdir(self.directory):
            claims = {
                port: {
                    address: "+".join(names)
                    for address, holders in held.items()
                    if (names := [each for each in holders.split("+") if each in known])
                }
                for port, held in self._read(block).items()
            }
            self._write(block, {port: held for port, held in claims.items() if held})

    def _read(self, block: str) -> dict[str, dict[str, str]]:
        try:
            claims = codec.decode(files.read(f"{self.directory}/{block}") or b"{}")
        except ValueError:
            return {}
        # A file that is not ours, or was cut short, claims nothing.
        if not isinstance(claims, dict):
            return {}
        return {port: held for port, held in claims.items() if _is_claim(held)}

    def _write(self, block: str, claims: dict[str, dict[str, str]]) -> None:
        path = f"{self.directory}/{block}"
        if claims:
            files.write_atomic(path, codec.encode(claims) + b"\n")
        else:
            files.remove_with_scratch(path)


def _is_claim(held: object) -> bool:
    if not isinstance(held, dict):
        return False
    # A loop, because there are hundreds of them and one name in most.
    for names in held.values():
        if not (isinstance(names, str) and names.replace("+", "").isalnum()):
            return False
    return True


def _by_block(mappings: Iterable[PortMapping]) -> dict[str, list[Port]]:
    blocks: dict[str, list[Port]] = {}
    for mapping in mappings:
        block = f"{mapping.protocol}-{mapping.host_port // _PORTS_IN_A_BLOCK}"
        blocks.setdefault(block, []).extend(ports_of(mapping))
    return blocks


def _address_in(port: Port) -> str:
    return port[3] or ANY[port[2]]


def _is_narrower(address: str, port: Port) -> bool:
    return address not in ANY.values() and (":" in address) == (port[2] == 6)
