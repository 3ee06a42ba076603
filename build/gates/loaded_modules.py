"""Run the plugin, and note which modules it had loaded when it left.

The names go, sorted and one a line, into the file that MPM_LOADED_MODULES names. The plugin does
not see the variable: it is gone from the environment before the plugin is even imported.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # What typing calls so. The plugin does not load it, so nor may this.
if TYPE_CHECKING:
    from typing import NoReturn

report = os.environ.pop("MPM_LOADED_MODULES")
leave = os._exit


def report_and_leave(status: int) -> NoReturn:
    """Write the names down, then leave as the plugin meant to."""
    names = sorted(sys.modules)
    with open(report, "w") as file:
        file.writelines(f"{name}\n" for name in names)
    leave(status)


os._exit = report_and_leave

# Only now: the plugin may keep the os._exit that it finds.
from mesos_cni_port_mapper.__main__ import main  # noqa: E402

main()
