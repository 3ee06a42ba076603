"""Run the isolator inside a throwaway host, step by step, and print how each step ended.

Started there as a program: arguments are the settings and the steps, both JSON.
"""

import asyncio
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.isolator.dns import parse_default_container_dns
from mesos_cni_port_mapper.isolator.isolator import (
    ContainerRequest,
    Isolator,
    IsolatorError,
    Settings,
)
from mesos_cni_port_mapper.isolator.network_info import encode_for_state, parse_network_info


def request_of(document: Mapping[str, Any]) -> ContainerRequest:
    """Return the request that a test wrote as JSON."""
    rootfs = document.get("rootfs")
    networks = [parse_network_info(info, "networks") for info in document.get("networks", [])]
    return ContainerRequest(
        container_id=document["container_id"],
        networks=tuple(networks),
        hostname=document.get("hostname"),
        rootfs=Path(rootfs) if rootfs else None,
        debug=document.get("debug", False),
    )


class Driver:
    """One method for each step that a test may name."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.isolator = Isolator.create(
            Settings(
                **{
                    **settings,
                    "config_dir": Path(settings["config_dir"]) if settings["config_dir"] else None,
                    "root": Path(settings["root"]),
                    "default_container_dns": parse_default_container_dns(
                        settings.get("default_container_dns", {})
                    ),
                }
            )
        )

    async def prepare(self, **request: Any) -> object:
        preparation = self.isolator.prepare(request_of(request))
        return {
            "namespaces": sorted(preparation.namespaces),
            "joins": preparation.joins,
            "environment": dict(preparation.environment),
        }

    async def isolate(self, container_id: str, pid: int, seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            await self.isolator.isolate(container_id, pid)

    async def isolate_all(self, pids: Mapping[str, int]) -> None:
        await asyncio.gather(*(self.isolator.isolate(key, pid) for key, pid in pids.items()))

    async def status(self, container_id: str) -> object:
        return [encode_for_state(info) for info in self.isolator.status(container_id)]

    async def usage(self, container_id: str) -> object:
        return self.isolator.usage(container_id)

    async def cleanup(self, container_id: str) -> None:
        await self.isolator.cleanup(container_id)

    async def recover(self, live: list[Mapping[str, Any]], orphans: list[str]) -> object:
        requests = {each["container_id"]: request_of(each) for each in live}
        report = await self.isolator.recover(requests, set(orphans))
        return dataclasses.asdict(report)

    async def networks(self) -> object:
        catalogue = self.isolator.networks()
        return {
            "networks": [network.name for network in catalogue.networks],
            "problems": [str(problem) for problem in catalogue.problems],
        }

    async def close(self) -> None:
        self.isolator.close()

    async def descriptors(self) -> int:
        return len(list(Path("/proc/self/fd").iterdir()))


async def _run(settings: Mapping[str, Any], steps: list[tuple[str, dict[str, Any]]]) -> None:
    driver: Driver | None = None
    for name, arguments in steps:
        try:
            driver = driver or Driver(settings)
            method: Callable[..., Any] = getattr(driver, name)
            outcome: object = {"value": await method(**arguments)}
        except IsolatorError as error:
            outcome = {"error": error.msg, "details": error.details}
        except CniError as error:
            outcome = {"error": error.msg, "details": ""}
        except TimeoutError:
            outcome = {"error": "cancelled", "details": ""}
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_run(json.loads(sys.argv[1]), json.loads(sys.argv[2])))
