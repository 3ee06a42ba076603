"""Whose rule is it? An attachment, and the tag that marks its rules.

A tag is the comment ``container_id: ID network: NAME ifname: IF``. It is the only handle DEL has on
a rule, and it is compared whole: ``web-1`` is not the beginning of ``web-10``. The original wrote
``container_id: ID`` alone and matched it as a pattern, so its DEL still finds our rules.
"""

from __future__ import annotations

from mesos_cni_port_mapper.value import Value

LONGEST_COMMENT = 255
"""Bytes an xt_comment keeps; iptables cuts longer text without a word (xt_comment.h)."""

_DIGEST_BYTES = 16


class Attachment(Value):
    """One container on one network by one interface."""

    network: str
    container_id: str
    ifname: str

    def __str__(self) -> str:
        return f"container {self.container_id} on network {self.network} ({self.ifname})"


def tag_of(attachment: Attachment, longest: int = LONGEST_COMMENT) -> str:
    """Return the tag of an attachment, at most ``longest`` bytes of ASCII.

    Where it does not fit, fields give way to their digests one by one: the network's name first,
    the container's ID last. No name begins with ``#``, so that a digest is never mistaken for one.
    """
    network, container_id = attachment.network, attachment.container_id
    if len(_tag(network, container_id, attachment.ifname)) > longest:
        network = _shorter(network)
    if len(_tag(network, container_id, attachment.ifname)) > longest:
        container_id = _shorter(container_id)
    return _tag(network, container_id, attachment.ifname)


def is_tag(comment: str) -> bool:
    """Tell whether a comment says whose rule it is, in our words."""
    words = comment.split(" ")
    return words[::2] == ["container_id:", "network:", "ifname:"] and len(words) == 6


def is_of_container(tag: str, other: str) -> bool:
    """Tell whether two tags name one container."""
    return is_tag(tag) and is_tag(other) and tag.split(" ")[1] == other.split(" ")[1]


def is_of_network(tag: str, network: str | None) -> bool:
    """Tell whether a tag names a network, or the digest for a long name; None is any network."""
    return is_tag(tag) and (network is None or tag.split(" ")[3] in (network, _shorter(network)))


def bare_tag_of(attachment: Attachment) -> str:
    """Return the tag the original plugin gave a container's rules, or "" if it would be cut short.

    A cut tag no longer tells which container it means, so such a rule is nobody's.
    """
    tag = f"container_id: {attachment.container_id}"
    return tag if len(tag) <= LONGEST_COMMENT else ""


def record_name(attachment: Attachment) -> str:
    """Return a file name for an attachment, whose own names may be longer than one."""
    return _digest("\0".join((attachment.network, attachment.container_id, attachment.ifname)))


def short_digest(name: str) -> str:
    """Return 16 characters that stand for a name where there is no room for it."""
    return _digest(name)[:16]


def _tag(network: str, container_id: str, ifname: str) -> str:
    return f"container_id: {container_id} network: {network} ifname: {ifname}"


def _shorter(name: str) -> str:
    digest = f"#{_digest(name)}"
    return digest if len(digest) < len(name) else name


def _digest(text: str) -> str:
    # Not hashlib: importing it costs 3 ms and brings OpenSSL into the bundle.
    import _blake2

    return _blake2.blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
