"""Whose a rule is: a container's, by its tag and by what is on record, or another program's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mesos_cni_port_mapper.explain.model import Effect, Rule, Translate
from mesos_cni_port_mapper.netfilter.record import Record
from mesos_cni_port_mapper.portmap.attachment import is_tag, tag_of
from mesos_cni_port_mapper.portmap.chains import OWN_PREFIX
from mesos_cni_port_mapper.portmap.elements import LONGEST_COMMENT, chain_of, identity_of
from mesos_cni_port_mapper.portmap.nft_table import NAME

OURS, ORIGINAL, BY_HAND = "mesos-cni-port-mapper", "the original mesos-cni-port-mapper", "by hand"

_CHAINS = (
    ("DOCKER", "Docker"),
    ("CNI-", "the portmap plugin"),
    ("NETAVARK", "netavark (Podman)"),
    ("KUBE-", "kube-proxy"),
    ("cali-", "Calico"),
    ("CILIUM", "Cilium"),
    ("WEAVE", "Weave"),
    ("FLANNEL", "Flannel"),
    ("LIBVIRT", "libvirt"),
    ("ufw", "ufw"),
    (OWN_PREFIX, OURS),
)
_TABLES = {
    "netavark": "netavark (Podman)",
    "docker-bridges": "Docker",
    "cni_hostport": "the portmap plugin",
    "kube-proxy": "kube-proxy",
    "firewalld": "firewalld",
    NAME: OURS,
}
_BARE = "container_id: "


@dataclass(frozen=True, slots=True)
class Known:
    """An attachment on record; ``gone`` says why nobody is there any more, "" for who is."""

    record: Record
    gone: str = ""

    @property
    def tags(self) -> tuple[str, ...]:
        """Return what marks its rules and elements."""
        attachment = self.record.attachment
        return tag_of(attachment), tag_of(attachment, LONGEST_COMMENT)

    @property
    def chain(self) -> str:
        """Return its own chain in a table of nf_tables, for ports that need rules."""
        return chain_of(identity_of(self.record.attachment))

    def __str__(self) -> str:
        return str(self.record.attachment)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who made a rule, and for which container, as far as it says."""

    program: str
    container: str = ""
    network: str = ""
    ifname: str = ""
    known: Known | None = None
    hint: str = ""

    @property
    def is_ours(self) -> bool:
        """Tell whether it is this program's."""
        return self.program == OURS

    def __str__(self) -> str:
        if self.known:
            return str(self.known)
        if self.network:
            return f"container {self.container} on network {self.network} ({self.ifname})"
        if self.container:
            return f"container {self.container} ({self.program})"
        if self.program == BY_HAND:
            return f"a rule made by hand{self.hint and f' ({self.hint})'}"
        return f"{self.program}{self.hint and f' ({self.hint})'}"


def owner_of(rule: Rule, effect: Effect, known: Sequence[Known]) -> Owner:
    """Return whose a rule is."""
    tag = (effect.tag if isinstance(effect, Translate) else "") or rule.comment
    for each in known:
        if tag in each.tags or rule.chain == each.chain:
            attachment = each.record.attachment
            return Owner(OURS, attachment.container_id, attachment.network, attachment.ifname, each)
    if is_tag(tag):
        words = tag.split(" ")
        return Owner(OURS, words[1], words[3], words[5])
    if tag.startswith(_BARE) and tag.count(" ") == 1:
        return Owner(ORIGINAL, tag.removeprefix(_BARE))
    return Owner(_program_of(rule), hint=rule.comment)


def _program_of(rule: Rule) -> str:
    table = rule.place.rpartition(" ")[2]
    if table in _TABLES:
        return _TABLES[table]
    for prefix, program in _CHAINS:
        if rule.chain.startswith(prefix):
            return program
    return BY_HAND
