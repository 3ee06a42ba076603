"""What is known about the kernel after a transaction went wrong."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import CniError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection


class RulesUntouchedError(CniError):
    """The transaction did not take place: the kernel holds what it held before.

    Any other failure leaves that open, and what may have been done must be swept away.
    """


def with_way_out(
    error: RulesUntouchedError, container_id: str, obstacles: Collection[object]
) -> RulesUntouchedError:
    """Return a DEL's failure; where tools are missing, with what to do if they stay so."""
    way_out = f"; or forget its rules: mesos-cni ports repair --forget {container_id}"
    return RulesUntouchedError(
        error.code, error.msg, error.details + (way_out if obstacles else "")
    )
