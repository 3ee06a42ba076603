"""The operator's network configurations: reading one, and reading a directory of them.

The directory is read afresh whenever a container is prepared, so that an addition, a change or a
deletion counts from the next launch on. A file that cannot be used is reported with the reason, and
the others are used.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni import codec
from mesos_cni_port_mapper.cni.errors import UNDECODABLE, CniError, os_reason
from mesos_cni_port_mapper.cni.fields import Section, refuse, shown
from mesos_cni_port_mapper.cni.names import is_plugin_type
from mesos_cni_port_mapper.isolator.names import network_name_fault
from mesos_cni_port_mapper.isolator.plugin_path import PluginPath
from mesos_cni_port_mapper.linux.files import read_all

RESERVED = "org.apache.mesos"
"""The key in ``args`` that is ours to write."""

_SUFFIXES = ("", ".conf", ".conflist", ".json")
_OF_EDITORS = ("~", ".bak", ".orig", ".swp", ".tmp", ".old", ".save", ".rpmsave", ".rpmnew")
_OF_DPKG = ".dpkg-"


@dataclass(frozen=True, slots=True)
class NetworkConfiguration:
    """A network as its file has it; ``plugins`` are the objects within ``document``, in order."""

    name: str
    version: str
    document: dict[str, Any]
    plugins: tuple[dict[str, Any], ...]

    @property
    def is_list(self) -> bool:
        """Tell whether the file was a list of plugins, each run after the other."""
        return "plugins" in self.document

    @property
    def types(self) -> tuple[str, ...]:
        """Return the types of all plugins that take part, those behind others included."""
        return tuple(dict.fromkeys(each for plugin in self.plugins for each in _types(plugin)))


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or directory that is not as it should be, and why."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ConfiguredNetwork:
    """A network that containers may ask for, and which of its plugins are nowhere to be found."""

    file: Path
    configuration: NetworkConfiguration
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the network's name."""
        return self.configuration.name


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a directory of configurations holds at one moment."""

    networks: tuple[ConfiguredNetwork, ...] = ()
    problems: tuple[Problem, ...] = ()

    def find(self, name: str) -> ConfiguredNetwork | None:
        """Return a network, or nothing when none has this name."""
        return next((network for network in self.networks if network.name == name), None)


def parse_configuration(data: bytes, *, checkpointed: bool = False) -> NetworkConfiguration:
    """Read a network configuration or a list of plugins; ``ValueError`` and ``CniError`` say why.

    Only a checkpointed one may hold what we put into it.
    """
    document = codec.decode(data)
    if not isinstance(document, dict):
        raise CniError(UNDECODABLE, f"it is {shown(document)}, not a JSON object")
    section = Section(document)
    name = section.string("name")
    fault = network_name_fault(name)
    if fault:
        refuse("name", f"{shown(name)} {fault}")
    version = section.string("cniVersion", "")
    plugins = _plugins(section)
    for plugin in plugins:
        _check_plugin(plugin, checkpointed)
    return NetworkConfiguration(name, version, document, tuple(each.document for each in plugins))


def is_read(file_name: str) -> bool:
    """Tell whether a file's name is one of a configuration; editors' leavings are not."""
    return os.path.splitext(file_name)[1] in _SUFFIXES and not _is_left_over(file_name)


def is_remarkable(file_name: str) -> bool:
    """Tell whether an operator may wonder why a file is not read."""
    return not is_read(file_name) and not _is_left_over(file_name)


def catalogue_of(
    files: Iterable[tuple[Path, bytes | OSError]], plugin_path: PluginPath
) -> Catalogue:
    """Sort files, in the order given, into networks and problems; the first of a name wins."""
    networks: dict[str, ConfiguredNetwork] = {}
    problems = []
    for file, content in files:
        try:
            if isinstance(content, OSError):
                raise content
            configuration = parse_configuration(content)
        except OSError as error:
            problems.append(Problem(str(file), os_reason(error)))
            continue
        except (CniError, ValueError) as error:
            problems.append(Problem(str(file), str(error)))
            continue
        name = configuration.name
        if name in networks:
            reason = f"the network {name!r} is in {networks[name].file} already"
            problems.append(Problem(str(file), reason))
            continue
        missing = tuple(each for each in configuration.types if not plugin_path.find(each))
        problems += [Problem(str(file), f"there is no plugin {each!r}") for each in missing]
        networks[name] = ConfiguredNetwork(file, configuration, missing)
    return Catalogue(tuple(networks.values()), tuple(problems))


def read_directory(directory: Path, plugin_path: PluginPath) -> Catalogue:
    """Read every configuration in a directory, by name in order; raises ``OSError``."""
    with os.scandir(directory) as entries:
        found = sorted((entry.name, entry.is_dir()) for entry in entries)
    files = [name for name, is_directory in found if not is_directory]
    read = [directory / name for name in files if is_read(name)]
    catalogue = catalogue_of(((file, _content(file)) for file in read), plugin_path)
    reason = f"not read: its name ends in none of {', '.join(_SUFFIXES[1:])}"
    others = [Problem(str(directory / name), reason) for name in files if is_remarkable(name)]
    return Catalogue(catalogue.networks, (*catalogue.problems, *others))


def _is_left_over(file_name: str) -> bool:
    lower = file_name.lower()
    return lower.startswith((".", "#")) or lower.endswith(_OF_EDITORS) or _OF_DPKG in lower


def _content(file: Path) -> bytes | OSError:
    try:
        # A pipe among the files must not keep us waiting for a writer.
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return OSError("it is not a regular file")
            return read_all(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        return error


def _plugins(section: Section) -> list[Section]:
    if not section.has("plugins"):
        return [section]
    plugins = section.array("plugins")
    if not plugins:
        refuse("plugins", "is empty")
    for index, plugin in enumerate(plugins):
        if not isinstance(plugin, dict):
            refuse(f"plugins[{index}]", f"must be an object, not {shown(plugin)}")
    return [Section(plugin, f"plugins[{index}]") for index, plugin in enumerate(plugins)]


def _check_plugin(plugin: Section, checkpointed: bool) -> None:
    plugin_type = plugin.string("type")
    if not is_plugin_type(plugin_type):
        refuse(plugin.path_of("type"), f"{shown(plugin_type)} is no name of a plugin")
    args = plugin.optional_section("args")
    if RESERVED in args.document and not checkpointed:
        refuse(args.path_of(RESERVED), "is reserved for what the container asks for")
    # A modern bridge has "ipam": {}, and the plugins behind the port mapper are its own affair.
    plugin.optional_section("ipam").string("type", "")
    plugin.optional_section("capabilities")
    plugin.optional_section("runtimeConfig")


def _types(plugin: dict[str, Any]) -> Iterator[str]:
    """Return a plugin's type and those of the plugins it will call, as far as it is written."""
    ipam, delegate, delegates = (plugin.get(key) for key in ("ipam", "delegate", "delegates"))
    for value in (plugin, ipam):
        if isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"]:
            yield value["type"]
    for behind in (delegate, *(delegates if isinstance(delegates, list) else ())):
        if isinstance(behind, dict):
            yield from _types(behind)
