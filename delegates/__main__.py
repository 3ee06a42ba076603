"""The program behind every built-in plugin: it looks at the name it is called by.

``bridge``, ``host-local`` and the others are links to it; ``mesos-cni-delegate bridge`` is the same
without a link. ``mesos-cni-delegate --workers NUMBER`` stays, for a runtime that asks often.
"""

from __future__ import annotations

import sys

from mesos_cni_port_mapper.cni.program import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from mesos_cni_port_mapper.cni.skeleton import Plugin

PROGRAM = "mesos-cni-delegate"


def main() -> NoReturn:
    """Serve one request as the plugin that is asked for."""
    if sys.argv[1:2] == ["--workers"]:
        from delegates import workers

        workers.main(int(sys.argv[2]), _plugin, PROGRAM)
    name = _name(sys.argv)
    run(lambda: _plugin(name), PROGRAM)


def _name(argv: list[str]) -> str:
    """Return the plugin asked for: what the program is called, or its argument."""
    called = argv[0].rpartition("/")[2]
    if called in (PROGRAM, "__main__.py") and len(argv) > 1:
        return argv[1]
    return called


def _plugin(name: str) -> Plugin:
    from delegates.catalogue import BUILT_IN, make_plugin

    if name not in BUILT_IN:
        from mesos_cni_port_mapper.cni.errors import INVALID_ENVIRONMENT, CniError

        raise CniError(
            INVALID_ENVIRONMENT,
            f"{PROGRAM} is called {name!r}, which is no built-in plugin",
            f"built in: {', '.join(BUILT_IN)}",
        )
    return make_plugin(name)


if __name__ == "__main__":
    main()
