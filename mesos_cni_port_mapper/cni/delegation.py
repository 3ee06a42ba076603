"""A delegate: the plugin that does the attaching, and the configuration it is given.

The outer configuration's ``name``, and its ``args`` if it has any, replace the delegate's own, as
Mesos' users know it. Nothing else is added but what the specification asks for: Flannel, for one,
refuses keys it does not expect.
"""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.errors import DELEGATE_FAILED, INVALID_CONFIGURATION, CniError
from mesos_cni_port_mapper.cni.executable import Executable, VersionRefusedError
from mesos_cni_port_mapper.cni.result import (
    MalformedResultError,
    Result,
    decode_result,
    encode_result,
)
from mesos_cni_port_mapper.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


_REPLACED = ("name", "args")
_RUNTIMES_KEYS = "cni.dev/"
_FIRST_ABOUT_NETWORKS = "1.1.0"
"""The version that brought GC and STATUS."""


class Delegate(Value):
    """A delegate's configuration within its outer one, and the program that serves it.

    Methods take the version to ask in, "" for none named.
    """

    outer: dict[str, Any]
    netconf: dict[str, Any]
    executable: Executable

    def add(self, version: str, before: Result | None = None) -> tuple[Result, str]:
        """Attach; return the result and the version that was agreed on.

        ``before`` is the result of the delegate that came before this one.
        A delegate that refuses the version is asked for the ones it speaks, and again in the
        newest that both sides know.
        """
        try:
            return self._add(version, before), version
        except VersionRefusedError as refusal:
            common = versions.newest_common(self._supported_versions())
            if common in ("", version):
                raise refusal from None
            return self._add(common, before), common

    def _supported_versions(self) -> list[str]:
        try:
            return self.executable.supported_versions()
        except CniError:
            # What the runtime should hear of is the refusal.
            return []

    def _add(self, version: str, before: Result | None) -> Result:
        netconf = render_netconf(self.outer, self.netconf, version)
        if before is not None:
            try:
                netconf["prevResult"] = encode_result(
                    before, version or before.version, declared=True
                )
            except MalformedResultError as error:
                raise CniError(
                    DELEGATE_FAILED,
                    f"the result before delegate {self.netconf['type']} cannot be given in version "
                    f"{version}",
                    str(error),
                ) from error
        return self.executable.add(netconf, version or versions.ASSUMED)

    def delete(self, version: str, prev_result: Result | None) -> None:
        """Detach, in the version that was agreed on when it was attached.

        A previous result that cannot be put in that version is no reason to stay attached.
        """
        try:
            netconf = self._netconf(version, prev_result)
        except MalformedResultError:
            netconf = self._netconf(version, None)
        self.executable.command("DEL", netconf)

    def check(self, version: str, prev_result: Result | None) -> None:
        """Have the delegate check the attachment; one too old for CHECK has nothing to say."""
        if not _has_check(version):
            return
        try:
            netconf = self._netconf(version, prev_result)
        except MalformedResultError as error:
            raise CniError(INVALID_CONFIGURATION, f"prevResult: {error}") from error
        self.executable.command("CHECK", netconf)

    def collect_garbage(self, version: str) -> None:
        """Have the delegate remove what is left of attachments that are not valid any more."""
        own = {key: value for key, value in self.outer.items() if key.startswith(_RUNTIMES_KEYS)}
        self._ask_about_network("GC", version, own)

    def complain_unless_ready(self, version: str) -> None:
        """Have the delegate complain if it could not attach."""
        self._ask_about_network("STATUS", version, {})

    def _ask_about_network(self, command: str, version: str, more: dict[str, Any]) -> None:
        if version == "" or versions.order(version) < versions.order(_FIRST_ABOUT_NETWORKS):
            return
        netconf = render_netconf(self.outer, self.netconf, version)
        self.executable.ask_about_network(command, {**netconf, **more})

    def _netconf(self, version: str, prev_result: Result | None) -> dict[str, Any]:
        netconf = render_netconf(self.outer, self.netconf, version)
        # prevResult came to DEL with the version that brought CHECK.
        if prev_result is not None and _has_check(version):
            netconf["prevResult"] = encode_result(prev_result, version, declared=True)
        return netconf


class Delegates(Value):
    """The plugins that attach a container, run in order and detach it in reverse.

    ``versions`` are those they agreed to when they attached, as far as they have.
    """

    members: tuple[Delegate, ...]
    versions: tuple[str, ...] = ()

    def add(self) -> Iterator[tuple[Result, str]]:
        """Attach one by one; yield each result and the version that was agreed on for it."""
        result = None
        for member, version in self._asked():
            result, agreed = member.add(version, result)
            yield result, agreed

    def delete(self, prev_result: Result | None) -> None:
        """Detach, no further than what fails: an address is not freed while others lead to it."""
        for member, version in reversed(self._asked()):
            member.delete(version, prev_result)

    def check(self, prev_result: Result | None) -> None:
        """Have each of them check."""
        for member, version in self._asked():
            member.check(version, prev_result)

    def collect_garbage(self) -> None:
        """Have each of them collect, in reverse order."""
        for member, version in reversed(self._asked()):
            member.collect_garbage(version)

    def complain_unless_ready(self) -> None:
        """Have each of them say whether it could attach."""
        for member, version in self._asked():
            member.complain_unless_ready(version)

    def _asked(self) -> list[tuple[Delegate, str]]:
        own = [delegate_version(each.outer, each.netconf) for each in self.members]
        versions = [*self.versions, *own[len(self.versions) :]]
        return list(zip(self.members, versions, strict=False))


def delegate_version(outer: dict[str, Any], delegate: dict[str, Any]) -> str:
    """Return the version a delegate is asked in at first: its own, else the outer one, else ""."""
    version: str = delegate.get("cniVersion") or outer.get("cniVersion") or ""
    return version


def _has_check(version: str) -> bool:
    return version != "" and versions.order(version) >= versions.order(versions.FIRST_WITH_CHECK)


def previous_result(netconf: dict[str, Any], version: str) -> Result | None:
    """Return the ``prevResult`` of a configuration, or nothing when there is none."""
    document = netconf.get("prevResult")
    return None if document is None else decode_result(document, version)


def replaced_keys(outer: dict[str, Any], delegate: dict[str, Any]) -> list[str]:
    """Return which of the delegate's own keys the outer configuration overrules."""
    return [
        key
        for key in _REPLACED
        if outer.get(key) is not None and delegate.get(key) not in (None, outer[key])
    ]


def render_netconf(outer: dict[str, Any], delegate: dict[str, Any], version: str) -> dict[str, Any]:
    """Return the configuration a delegate is given."""
    netconf = dict(delegate)
    for key in _REPLACED:
        if outer.get(key) is not None:
            netconf[key] = outer[key]
    if version:
        netconf["cniVersion"] = version
    runtime_config = outer.get("runtimeConfig")
    if isinstance(runtime_config, dict):
        capabilities = delegate.get("capabilities")
        wanted = isinstance(capabilities, dict) and capabilities.get("portMappings") is True
        passed = {
            key: value
            for key, value in runtime_config.items()
            if wanted or key.lower() != "portmappings"
        }
        if passed:
            netconf["runtimeConfig"] = passed
    return netconf
