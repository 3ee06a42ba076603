"""``CNI_ARGS``: what a runtime wants of one attachment, ``KEY=value`` pairs between semicolons."""

from __future__ import annotations

from mesos_cni_port_mapper.cni.errors import INVALID_ENVIRONMENT, CniError
from mesos_cni_port_mapper.cni.fields import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

_IGNORE = "IgnoreUnknown"
_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def parse_cni_args(environ: Mapping[str, str], known: Container[str]) -> dict[str, str]:
    """Return the pairs whose keys are ``known``; the last of a key counts.

    Others are an error (code 4) unless ``IgnoreUnknown`` is among them and true, as Kubernetes
    sends it.
    """
    text = environ.get("CNI_ARGS", "")
    pairs: dict[str, str] = {}
    for part in text.split(";") if text else ():
        key, equals, value = part.partition("=")
        if not equals or "=" in value:
            raise _malformed(f"{shown(part)} is no KEY=value")
        pairs[key] = value
    ignoring = pairs.pop(_IGNORE, "0")
    if ignoring.lower() not in _TRUTH:
        raise _malformed(f"{_IGNORE} must be true or false, not {shown(ignoring)}")
    unknown = [key for key in pairs if key not in known]
    if unknown and not _TRUTH[ignoring.lower()]:
        raise _malformed(f"{', '.join(map(shown, unknown))} is unknown, {_IGNORE} not set")
    return {key: value for key, value in pairs.items() if key in known}


def _malformed(complaint: str) -> CniError:
    return CniError(INVALID_ENVIRONMENT, f"CNI_ARGS: {complaint}")
