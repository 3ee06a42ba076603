"""The plugin's entry point."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.program import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from mesos_cni_port_mapper.port_mapper import PortMapper


def main() -> NoReturn:
    """Serve one request."""
    run(_port_mapper, "mesos-cni-port-mapper")


def _port_mapper() -> PortMapper:
    # Not at the top: VERSION, which runtimes ask before everything else, needs none of it.
    from mesos_cni_port_mapper.port_mapper import PortMapper

    return PortMapper()


if __name__ == "__main__":
    main()
