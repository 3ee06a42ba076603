"""Building results, always of shape 1.0.0, and giving them in the version a runtime asked for."""

from __future__ import annotations

from mesos_cni_port_mapper.cni import version as versions
from mesos_cni_port_mapper.cni.errors import INVALID_CONFIGURATION, CniError
from mesos_cni_port_mapper.cni.result import (
    MalformedResultError,
    Result,
    decode_result,
    encode_result,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mesos_cni_port_mapper.cni.request import Request

SHAPE = "1.0.0"


def interface(name: str, mac: str, sandbox: str = "") -> dict[str, Any]:
    """Return an entry of ``interfaces``; without ``sandbox`` it is one of the host's."""
    entry = {"name": name, "mac": mac}
    if sandbox:
        entry["sandbox"] = sandbox
    return entry


def make_result(
    interfaces: Sequence[dict[str, Any]],
    ips: Sequence[dict[str, Any]] = (),
    routes: Sequence[dict[str, Any]] = (),
    dns: dict[str, Any] | None = None,
) -> Result:
    """Return a result; lists without an entry are left out, as the reference plugins do."""
    document: dict[str, Any] = {"cniVersion": SHAPE}
    for key, entries in (("interfaces", interfaces), ("ips", ips), ("routes", routes)):
        if entries:
            document[key] = list(entries)
    document["dns"] = dns or {}
    return Result(version=SHAPE, document=document)


def shaped(result: Result) -> Result:
    """Return another's result in our shape; raises ``MalformedResultError``."""
    if versions.order(result.version) < versions.order(SHAPE):
        return Result(version=SHAPE, document=encode_result(result, SHAPE, declared=True))
    # A newer one only has more fields, which may be wanted.
    return Result(version=SHAPE, document={**result.document, "cniVersion": SHAPE})


def answer(request: Request, result: Result) -> dict[str, Any]:
    """Return the document to print for a request, in its version."""
    try:
        return encode_result(result, request.version, declared=True)
    except MalformedResultError as error:
        raise CniError(
            INVALID_CONFIGURATION,
            f"the result cannot be given in version {request.version}",
            str(error),
        ) from error


def previous_result(request: Request) -> Result | None:
    """Return the ``prevResult`` of a request in shape 1.0.0, or nothing when there is none."""
    document = request.netconf.get("prevResult")
    if document is None:
        return None
    try:
        return shaped(decode_result(document, request.version))
    except MalformedResultError as error:
        raise CniError(INVALID_CONFIGURATION, f"prevResult: {error}") from error
