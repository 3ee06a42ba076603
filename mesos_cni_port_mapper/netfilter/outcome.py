"""What is known about the kernel after a transaction went wrong."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import CniError


class RulesUntouchedError(CniError):
    """The transaction did not take place: the kernel holds what it held before.

    Any other failure leaves that open, and what may have been done must be swept away.
    """
