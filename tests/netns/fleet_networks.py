"""The networks of a fleet: plugins that attach, fail and hang, and how they are configured."""

import json
from collections.abc import Sequence
from typing import Any

from tests.netns.containers import RESULT, ROOT, Tool
from tests.netns.networks import CHAIN, DOCUMENT
from tests.support.delegates import Delegates
from tests.support.host import Host

REAL, FAKE, STUBBORN, FAILING, SLOW = "real", "fake", "stubborn", "failing", "slow"
ATTACHING = (REAL, FAKE, STUBBORN)

FAILS, HANGS = "fails", "hangs"
TROUBLE = "/run/trouble"
"""The file that says what is wrong with DEL of the stubborn network, if anything."""
HUNG = "/run/hung"
"""The directory of those for which it has hung."""

_TIMEOUT = ("--plugin_timeout", "1")
# Once for each container: nobody has to wait again for what somebody has noticed already.
_STUBBORN_DEL = f"""\
trouble=$(cat {TROUBLE})
[ "$trouble" = {HANGS} ] && mkdir {HUNG}/$CNI_CONTAINERID 2>/dev/null && exec sleep 60
[ -z "$trouble" ]"""


class MixedTool(Tool):
    """`mesos-cni` that looks for plugins in the test's own directory first, then for real ones."""

    def environment(self) -> dict[str, str]:
        directories = f"/run/plugins:{ROOT}/dist/plugins:/usr/lib/cni"
        return super().environment() | {"MESOS_NETWORK_CNI_PLUGINS_DIR": directories}


class FleetTool(MixedTool):
    """The same, with little patience."""

    def _full(self, arguments: Sequence[str]) -> list[str]:
        return [*self.argv, *_TIMEOUT, *arguments]


def write_plugins(host: Host, plugins: Delegates) -> None:
    """Write all plugins but the real one."""
    host.path(TROUBLE).touch()
    host.path(HUNG).mkdir()
    plugins.recording(FAKE, RESULT)
    plugins.failing(FAILING, 11, "not today", ["ADD"])
    plugins.hanging(SLOW, ["ADD"])
    says = f"printf %s '{json.dumps(RESULT)}'"
    plugins.scripted(STUBBORN, {"ADD": says, "DEL": _STUBBORN_DEL})


def configuration_of(name: str, edition: int) -> dict[str, Any]:
    """Return a network's configuration; of which edition it is, rules and plugins can tell."""
    if name == REAL:
        return {**DOCUMENT, "name": name, "chain": chain_of(edition)}
    return {"cniVersion": "1.0.0", "name": name, "type": name, "edition": edition}


def chain_of(edition: int) -> str:
    """Return the chain that the real network's rules are in."""
    return f"{CHAIN}-{edition}"
