"""A plugin as a program: real streams in, exit status out."""

from __future__ import annotations

import gc
import os

from mesos_cni_port_mapper.cni.skeleton import serve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from mesos_cni_port_mapper.cni.skeleton import Plugin


def run(make_plugin: Callable[[], Plugin], program: str) -> NoReturn:
    """Serve one request and leave.

    ``os._exit`` skips the interpreter's teardown, which would take 1.5 ms and does nothing for a
    process that has already answered.
    """
    # A process that lives for milliseconds has no use for what it would collect.
    gc.disable()
    _occupy_streams()
    os._exit(serve(make_plugin, _environment(), 0, 1, program))


def _occupy_streams() -> None:
    """Put something that can be neither read nor written where a standard stream is missing.

    The next file to be opened would take its place, and what is said on stderr land in there.
    """
    while (file := os.open("/", os.O_PATH)) <= 2:
        pass
    os.close(file)


def _environment() -> dict[str, str]:
    if os.environ.get("CNI_COMMAND") == "VERSION":
        return dict(os.environ)
    from mesos_cni_port_mapper.linux.process import original_environment

    return original_environment(os.environ)
