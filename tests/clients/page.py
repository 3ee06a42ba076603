"""The configurations that the documentation has users copy."""

import json
from collections.abc import Mapping
from typing import Any

from tests.netns.containers import ROOT
from tests.netns.recipes import parse_blocks

PLUGIN = "mesos-cni-port-mapper"

_PAGE = (ROOT / "docs/clients.md").read_text()
NETWORKS: Mapping[str, Any] = {
    network["name"]: network for network in map(json.loads, parse_blocks(_PAGE, "json"))
}
(CONTAINERS_CONF,) = parse_blocks(_PAGE, "toml")


def network(name: str, **changes: Any) -> Any:
    """Return a network of the page with keys of the port mapper changed; None takes one away."""
    plugins = [
        {key: value for key, value in {**plugin, **changes}.items() if value is not None}
        if plugin["type"] == PLUGIN
        else plugin
        for plugin in NETWORKS[name]["plugins"]
    ]
    return {**NETWORKS[name], "plugins": plugins}
