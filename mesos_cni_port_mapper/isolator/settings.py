"""What the isolator is told at its start, and the checks before it says that it can work."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.isolator import paths
from mesos_cni_port_mapper.isolator.dns import NO_DEFAULTS, DefaultDns
from mesos_cni_port_mapper.isolator.errors import IsolatorError, os_failure
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath


@dataclass(frozen=True, slots=True)
class Settings:
    """The agent's flags, as far as they are the isolator's.

    ``plugins_dir`` is a search path with colons; ``root`` is the state root (``paths.state_root``).
    With neither directory there are no networks, and every container is on the host's.
    """

    config_dir: Path | None
    plugins_dir: str | None
    root: Path
    default_container_dns: DefaultDns = NO_DEFAULTS
    plugin_timeout: float = 120
    builtin_plugins_dir: Path | None = None
    metrics: bool = True

    @property
    def has_networks(self) -> bool:
        """Tell whether there are networks at all."""
        return self.config_dir is not None

    @property
    def plugin_path(self) -> PluginPath:
        """Return where plugins are looked for."""
        return PluginPath(self.plugins_dir or "", self.builtin_plugins_dir)


def check_settings(settings: Settings) -> None:
    """Raise ``IsolatorError`` when containers could not be attached by these settings."""
    has_plugins = bool((settings.plugins_dir or "").strip(":"))
    if settings.config_dir is None:
        if has_plugins:
            raise IsolatorError("network_cni_plugins_dir is given without network_cni_config_dir")
        return
    if not has_plugins and settings.builtin_plugins_dir is None:
        raise IsolatorError("network_cni_config_dir is given without network_cni_plugins_dir")
    if settings.plugin_timeout <= 0:
        raise IsolatorError("the timeout of plugins must be more than nothing")
    if os.geteuid() != 0:
        raise IsolatorError("only root can attach containers to networks")
    try:
        os.listdir(settings.config_dir)
    except OSError as error:
        raise os_failure("read network_cni_config_dir", error) from error


def ensure_root(root: Path) -> Path:
    """Have the state root, and return it without links in its path.

    The directory it is in may be reached by a link; those below are ours, and where somebody has
    put a link instead, nothing is written.
    """
    for path in paths.levels(root):
        if path.is_symlink():
            raise IsolatorError(f"{path}: must be a directory, and is a symbolic link")
    try:
        root.mkdir(mode=0o755, parents=True, exist_ok=True)
        return root.resolve(strict=True)
    except OSError as error:
        raise os_failure("create the state root", error) from error
