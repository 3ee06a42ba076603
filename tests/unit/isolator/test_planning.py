import json
from pathlib import Path

import pytest

from mesos_cni_port_mapper.isolator.configurations import (
    Catalogue,
    ConfiguredNetwork,
    Problem,
    parse_configuration,
)
from mesos_cni_port_mapper.isolator.errors import IsolatorError
from mesos_cni_port_mapper.isolator.network_info import NetworkInfo
from mesos_cni_port_mapper.isolator.planning import (
    Joining,
    OnHost,
    OwnNetworks,
    check_request,
    plan_container,
    preparation_for,
)
from mesos_cni_port_mapper.isolator.records import ContainerRequest, Preparation, record_of

CONFIGURATIONS = {
    name: parse_configuration(json.dumps({"name": name, "type": "x"}).encode()) for name in "ab"
}
CATALOGUE = Catalogue(
    tuple(ConfiguredNetwork(Path(name), each) for name, each in CONFIGURATIONS.items()),
    (Problem("c.conf", "name: is missing"),),
)
A, B, NAMELESS = NetworkInfo("a"), NetworkInfo("b"), NetworkInfo(groups=("g",))
ENVIRONMENT = {"LIBPROCESS_IP": "0.0.0.0"}


def test_named_networks_give_namespaces_of_ones_own() -> None:
    for container_id, owner in (("web", None), ("p.web", "p")):
        request = ContainerRequest(container_id, (B, NAMELESS, A))
        plan = plan_container(request, owner, CATALOGUE)

        assert plan == OwnNetworks(record_of(request), (CONFIGURATIONS["b"], CONFIGURATIONS["a"]))
        assert preparation_for(plan) == Preparation(
            frozenset({"net", "mnt", "uts"}), None, ENVIRONMENT
        )


@pytest.mark.parametrize("networks", [(), (NAMELESS,)], ids=["none", "nameless"])
def test_a_nested_container_without_named_networks_joins(networks: tuple[NetworkInfo, ...]) -> None:
    plan = plan_container(ContainerRequest("p.web", networks), "p", CATALOGUE)

    assert plan == Joining("p", None, debug=False)
    assert preparation_for(plan) == Preparation(frozenset({"mnt"}), "p", ENVIRONMENT)
    assert plan_container(ContainerRequest("p.web", networks), None, CATALOGUE) == OnHost(None)


def test_a_debugging_container_joins_whatever_it_names() -> None:
    plan = plan_container(ContainerRequest("p.web", (A,), debug=True), "p", CATALOGUE)

    assert plan == Joining("p", None, debug=True)
    assert preparation_for(plan) == Preparation(frozenset(), "p", ENVIRONMENT)


def test_without_networks_a_container_stays_on_the_hosts() -> None:
    rootfs = Path("/r")

    assert plan_container(ContainerRequest("web", (NAMELESS,)), None, CATALOGUE) == OnHost(None)
    assert preparation_for(OnHost(None)) == Preparation()
    assert preparation_for(OnHost(rootfs)) == Preparation(frozenset({"mnt"}))


def test_an_unknown_network_is_refused_with_the_known_ones_and_the_problems() -> None:
    with pytest.raises(IsolatorError) as failure:
        plan_container(ContainerRequest("web", (A, NetworkInfo("c"))), None, CATALOGUE)

    assert failure.value.msg == "container web asks for the unknown network 'c'"
    assert failure.value.details == ("known networks: a, b; problems: c.conf: name: is missing")
    with pytest.raises(IsolatorError, match=r"known networks: none$"):
        plan_container(ContainerRequest("web", (A,)), None, Catalogue())


def test_a_network_asked_for_twice_is_refused() -> None:
    with pytest.raises(IsolatorError, match="asks for network 'a' twice: known networks: a, b"):
        plan_container(ContainerRequest("web", (A, B, A)), None, CATALOGUE)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (ContainerRequest("a/b"), "container ID"),
        (ContainerRequest("a", hostname="x" * 65), "hostname"),
        (ContainerRequest("a", (NetworkInfo(".."),)), "network name"),
        (ContainerRequest("a", (NetworkInfo(""),)), "network name"),
        (ContainerRequest("a", rootfs=Path("r")), "no absolute path"),
    ],
)
def test_a_request_that_nothing_could_make_good_is_refused(
    request_: ContainerRequest, words: str
) -> None:
    with pytest.raises(IsolatorError, match=words):
        check_request(request_)
