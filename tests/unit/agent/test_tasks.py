"""A container as Mesos would call it."""

import signal

import pytest

from mesos_cni_port_mapper.harness.agent.tasks import (
    encode_container_id,
    encode_container_info,
    encode_history,
    encode_network_info,
    encode_status,
    is_holder,
    task_state,
    wait_status,
)
from mesos_cni_port_mapper.harness.containers import LOST, RUNNING, STARTING, STOPPING
from mesos_cni_port_mapper.harness.spec import Docker, Spec, Volume
from tests.unit.agent.containers import NETWORK, container, ended


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        (STARTING, "TASK_STARTING"),
        (RUNNING, "TASK_RUNNING"),
        (STOPPING, "TASK_KILLING"),
        (LOST, "TASK_LOST"),
    ],
)
def test_what_a_container_does_is_a_task_state(state: str, wanted: str) -> None:
    assert task_state(container(state=state)) == wanted


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (0, "TASK_FINISHED"),
        (1, "TASK_FAILED"),
        (139, "TASK_FAILED"),
        (137, "TASK_KILLED"),
        (143, "TASK_KILLED"),
        (None, "TASK_LOST"),
    ],
)
def test_how_a_container_ended_is_a_task_state(status: int | None, wanted: str) -> None:
    assert task_state(ended(status=status)) == wanted


@pytest.mark.parametrize(
    ("status", "number", "wanted"),
    [
        (0, None, 0),
        (3, None, 3 << 8),
        (137, signal.SIGKILL, signal.SIGKILL),
        (143, None, 143 << 8),
        (255, None, 255 << 8),
    ],
)
def test_an_exit_status_is_told_as_wait_tells_it(
    status: int, number: int | None, wanted: int
) -> None:
    assert wait_status(status, number) == wanted


def test_an_id_names_its_parents_from_within() -> None:
    assert encode_container_id("a.b.c") == {
        "value": "c",
        "parent": {"value": "b", "parent": {"value": "a"}},
    }


def test_labels_are_flat_in_a_state_and_nested_in_a_message() -> None:
    assert encode_network_info(NETWORK) == {**NETWORK, "labels": {"labels": NETWORK["labels"]}}
    assert encode_network_info({"name": "net"}) == {"name": "net"}


def test_a_status_has_networks_and_a_process_when_there_are_any() -> None:
    bare = {"container_id": {"value": "web"}}

    assert encode_status(container(network_infos=(), state=STARTING, init=None)) == bare
    assert encode_status(ended(network_infos=())) == bare
    assert encode_status(container()) == {
        **bare,
        "network_infos": [encode_network_info(NETWORK)],
        "executor_pid": 7,
    }


def test_what_was_asked_for_is_a_container_info() -> None:
    spec = Spec(
        container_id="web",
        hostname="h",
        networks=({"name": "net"},),
        volumes=(Volume(host_path="/a", container_path="/b", read_only=True),),
        tty=True,
    )

    assert encode_container_info(spec) == {
        "type": "MESOS",
        "mesos": {},
        "hostname": "h",
        "network_infos": [{"name": "net"}],
        "volumes": [{"host_path": "/a", "container_path": "/b", "mode": "RO"}],
        "tty_info": {},
    }


@pytest.mark.parametrize(
    ("network", "asked", "infos"),
    [("bridge", {"name": "bridge"}, []), ("user", {"name": "net"}, [{"name": "net"}])],
)
def test_dockers_ports_stand_beside_the_image(
    network: str, asked: dict[str, str], infos: list[dict[str, str]]
) -> None:
    mapping = {"host_port": 8080, "container_port": 80}
    spec = Spec(
        container_id="web",
        hostname="h",
        networks=({**asked, "port_mappings": [mapping]},),
        docker=Docker(image="i", network=network, socket="/s"),
    )

    info = {"image": "i", "network": network.upper(), "port_mappings": [mapping]}
    document = {"type": "DOCKER", "docker": info, "hostname": "h"}
    assert encode_container_info(spec) == {
        **document,
        **({"network_infos": infos} if infos else {}),
    }


def test_what_an_image_says_to_run_is_a_task() -> None:
    asked = Docker(image="i", network="host", socket="/s")

    assert is_holder(container(spec=Spec(container_id="web")))
    assert not is_holder(container(spec=Spec(container_id="web", docker=asked)))


def test_a_history_has_the_states_that_were_reached() -> None:
    assert encode_history(container(started=None)) == [("TASK_STARTING", 100.0)]
    assert encode_history(ended(status=1)) == [
        ("TASK_STARTING", 100.0),
        ("TASK_RUNNING", 101.0),
        ("TASK_FAILED", 102.0),
    ]
