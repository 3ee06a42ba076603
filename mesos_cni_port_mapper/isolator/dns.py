"""Which name servers a container uses: its plugins', else the operator's defaults, else the host's.

Order is that of the networks in the request. A plugin that returns a domain or a search list and no
name server keeps those, and the name servers come from the next source.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NoReturn

from mesos_cni_port_mapper.cni.fields import Section, refuse, shown

_MODES = {"mesos": ("CNI",), "docker": ("BRIDGE", "USER")}
_REFUSED_MODES = ("UNKNOWN", "HOST")


@dataclass(frozen=True, slots=True)
class Dns:
    """A resolver's configuration, as a CNI result has it."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


NO_DNS = Dns()


@dataclass(frozen=True, slots=True)
class DefaultDns:
    """``--default_container_dns`` for CNI networks: by name, and for all others."""

    by_name: Mapping[str, Dns] = field(default_factory=dict)
    otherwise: Dns | None = None

    def of(self, network: str) -> Dns:
        """Return the entry that counts for a network, empty when none does."""
        return self.by_name.get(network) or self.otherwise or NO_DNS


NO_DEFAULTS = DefaultDns()


def parse_dns(document: object, path: str) -> Dns:
    """Read the ``dns`` of a result or of a default; nothing at all is the empty one."""
    if document is None:
        return NO_DNS
    if not isinstance(document, dict):
        refuse(path, f"must be an object, not {shown(document)}")
    section = Section(document, path)
    dns = Dns(
        nameservers=section.strings("nameservers"),
        domain=section.string("domain", ""),
        search=section.strings("search"),
        options=section.strings("options"),
    )
    for key, words in (
        ("nameservers", dns.nameservers),
        ("domain", (dns.domain,)),
        ("search", dns.search),
        ("options", dns.options),
    ):
        for word in words:
            # Each becomes a word of a line; a line break in one would become a line of its own.
            if not word.isprintable() or " " in word:
                refuse(section.path_of(key), f"{shown(word)} is not one word")
    return replace(
        dns,
        nameservers=_words(dns.nameservers),
        search=_words(dns.search),
        options=_words(dns.options),
    )


def parse_default_container_dns(document: object) -> DefaultDns:
    """Read the flag's JSON by Mesos' rules; Docker's entries are checked and not used."""
    path = "default_container_dns"
    if not isinstance(document, dict):
        refuse(path, f"must be an object, not {shown(document)}")
    section = Section(document, path)
    entries: dict[tuple[str, str, str], Dns] = {}
    for containerizer in _MODES:
        for index, entry in enumerate(section.array(containerizer)):
            where = f"{section.path_of(containerizer)}[{index}]"
            _add_default(entries, containerizer, entry, where)
    cni = {name: dns for (_, mode, name), dns in entries.items() if mode == "CNI"}
    return DefaultDns({name: dns for name, dns in cni.items() if name}, cni.get(""))


def resolve(
    networks: Iterable[tuple[str, Dns]], defaults: DefaultDns, host: Iterable[str]
) -> Dns | None:
    """Return what a container's ``resolv.conf`` must say; nothing means: what the host's says.

    ``networks`` are the names and results' DNS in the request's order, ``host`` the name servers of
    the host.
    """
    merged = NO_DNS
    for name, dns in networks:
        chosen = _for_network(dns, defaults.of(name))
        merged = Dns(
            nameservers=(*merged.nameservers, *chosen.nameservers),
            domain=chosen.domain or merged.domain,
            search=(*merged.search, *chosen.search),
            options=(*merged.options, *chosen.options),
        )
    if merged == NO_DNS:
        return None
    return merged if merged.nameservers else replace(merged, nameservers=tuple(host))


def render_resolv_conf(dns: Dns) -> str:
    """Return the text of a ``resolv.conf``."""
    lines = []
    if dns.domain:
        lines.append(f"domain {dns.domain}")
    if dns.search:
        lines.append(f"search {' '.join(dns.search)}")
    if dns.options:
        lines.append(f"options {' '.join(dns.options)}")
    lines += [f"nameserver {server}" for server in dns.nameservers]
    return "".join(f"{line}\n" for line in lines)


def parse_nameservers(resolv_conf: str) -> tuple[str, ...]:
    """Return the name servers that a ``resolv.conf`` lists."""
    lines = (line.split() for line in resolv_conf.splitlines())
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def _for_network(dns: Dns, default: Dns) -> Dns:
    if dns.nameservers:
        return dns
    return Dns(
        nameservers=default.nameservers,
        domain=dns.domain or default.domain,
        search=dns.search or default.search,
        options=dns.options or default.options,
    )


def _add_default(
    entries: dict[tuple[str, str, str], Dns], containerizer: str, entry: object, path: str
) -> None:
    if not isinstance(entry, dict):
        refuse(path, f"must be an object, not {shown(entry)}")
    section = Section(entry, path)
    modes = _MODES[containerizer]
    mode = section.string("network_mode")
    if mode not in modes:
        why = "cannot be configured" if mode in _REFUSED_MODES else "is no mode"
        refuse(section.path_of("network_mode"), f"{shown(mode)} {why}; use {' or '.join(modes)}")
    name = section.string("network_name", "")
    key = (containerizer, mode, name)
    if key in entries:
        _refuse_second(path, mode, name)
    entries[key] = parse_dns(section.section("dns").document, section.path_of("dns"))


def _refuse_second(path: str, mode: str, name: str) -> NoReturn:
    network = f"for the network {shown(name)}" if name else "without a network_name"
    refuse(path, f"is a second {mode} entry {network}")


def _words(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if word)
