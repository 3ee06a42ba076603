"""host-local: addresses out of this host's own ranges, remembered in files.

``configuration`` reads, ``allocation`` decides, ``store`` acts on the files; ``plugin`` joins them.
"""

from delegates.host_local.plugin import HostLocal

__all__ = ["HostLocal"]
