"""Why a mapping cannot be forwarded: what this host lacks, or what the container was not given."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import DELEGATE_FAILED, RULES_FAILED, CniError
from mesos_cni_port_mapper.netfilter.conflicts import described
from mesos_cni_port_mapper.portmap.mapping import families_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mesos_cni_port_mapper.portmap.mapping import PortMapping


def explain_unserved(
    mappings: Sequence[PortMapping],
    addresses: Mapping[int, str],
    obstacles: Mapping[int, str],
    attacher: str,
    ifname: str,
) -> CniError:
    """Return the error for mappings in whose families nothing can be forwarded to a container.

    ``addresses`` are the container's by family, "" for none; ``obstacles`` say by family why this
    host can forward nothing there, and are to blame where an address would not help, or is there.
    ``attacher`` is who should have returned one for ``ifname`` otherwise.
    """
    given = f"addresses: {', '.join([each for each in addresses.values() if each]) or 'none'}"
    hindered = [
        item
        for item in mappings
        if any(family in obstacles and addresses[family] for family in families_of(item))
        or all(family in obstacles for family in families_of(item))
    ]
    if not hindered:
        return CniError(
            DELEGATE_FAILED,
            f"{attacher} returned no address for {ifname} to forward {described(mappings)} to",
            given,
        )
    reasons = [
        obstacles[family]
        for family in obstacles
        if any(family in families_of(item) for item in hindered)
    ]
    return CniError(
        RULES_FAILED, f"cannot forward {described(hindered)}: {' and '.join(reasons)}", given
    )
