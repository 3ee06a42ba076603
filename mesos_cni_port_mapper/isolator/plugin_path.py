"""Where plugins are looked for: the operator's search path, then the built-in delegates."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mesos_cni_port_mapper.cni.names import is_plugin_type
from mesos_cni_port_mapper.linux.process import find_program


@dataclass(frozen=True, slots=True)
class PluginPath:
    """``--network_cni_plugins_dir`` as it was given, and the directory of the built-in ones."""

    given: str
    builtin: Path | None = None

    def find(self, plugin_type: str) -> str:
        """Return the executable for a plugin type, or "" when there is none."""
        builtin = [str(self.builtin)] if self.builtin else []
        return self._find(plugin_type, [*self._directories(), *builtin])

    def cni_path(self, types: Iterable[str]) -> str:
        """Return the ``CNI_PATH`` for a configuration that names these plugin types.

        It is the operator's, word for word, unless one of them is found among the built-in ones
        only: then a plugin that calls it must be able to find it too.
        """
        given = self._directories()
        missing = [each for each in types if not self._find(each, given)]
        if self.builtin and any(self._find(each, [str(self.builtin)]) for each in missing):
            return f"{self.given}:{self.builtin}" if given else str(self.builtin)
        return self.given

    def described(self) -> str:
        """Return the directories for an error message."""
        builtin = [str(self.builtin)] if self.builtin else []
        return f"looked in: {', '.join([*self._directories(), *builtin])}"

    def _directories(self) -> list[str]:
        return [part for part in self.given.split(os.pathsep) if part]

    @staticmethod
    def _find(plugin_type: str, directories: list[str]) -> str:
        return find_program(plugin_type, directories) if is_plugin_type(plugin_type) else ""
