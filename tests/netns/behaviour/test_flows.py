"""UDP flows that began before a port changed hands: the kernel remembers them, and must not."""

import pytest

from tests.netns.behaviour.site import CLIENT, FAMILIES, OTHER, OWN, Site, mapping, name_of
from tests.support.host import Place
from tests.support.traffic import connect_udp, serve_udp

SOURCE_PORT = 4000


@pytest.fixture(autouse=True)
def bystander(site: Site) -> None:
    """Have the kernel follow flows, as it does only while some rule asks for it."""
    site.web(mapping(9000, 53, "udp"), name="bystander", number=3)


def ask(site: Site, family: int, *, place: Place | None = None, address: str = "") -> str:
    """Say who answers in a flow that is always the same."""
    whom = address or OWN[family]
    outcome = connect_udp(place or site.host.client, whom, 8080, 1.0, SOURCE_PORT)
    return name_of(outcome)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_flow_to_the_host_goes_to_the_container_once_it_is_there(site: Site, family: int) -> None:
    serve_udp(site.host, 8080, OWN[family])
    assert ask(site, family) == "host"

    site.web(mapping(8080, 53, "udp"))

    assert ask(site, family) == "web"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_flow_of_a_container_that_left_goes_to_the_next(site: Site, family: int) -> None:
    old = site.web(mapping(8080, 53, "udp"), name="old")
    assert ask(site, family) == "old"

    old.detach()
    serve_udp(site.host, 8080, OWN[family])

    assert ask(site, family) == "host"

    site.web(mapping(8080, 53, "udp"), name="new")

    assert ask(site, family) == "new"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_flow_changes_hands_with_its_port(site: Site, family: int) -> None:
    site.web(mapping(8080, 53, "udp"), name="old")
    assert (ask(site, family), ask(site, family, place=site.host)) == ("old", "old")

    site.web(mapping(8080, 53, "udp"), name="new", onConflict="takeover")

    assert (ask(site, family), ask(site, family, place=site.host)) == ("new", "new")


@pytest.mark.parametrize("family", FAMILIES)
def test_flows_of_others_go_on(site: Site, family: int) -> None:
    one = mapping(8080, 53, "udp", OWN[family])
    site.web(one, mapping(8081, 53, "udp"), name="old")
    serve_udp(site.host.client, 8080)
    connect_udp(site.host.client, OWN[family], 8081)
    connect_udp(site.host, CLIENT[family], 8080)
    assert ask(site, family) == "old"
    before = flows(site, family)
    assert len(before) == 3

    newcomer = site.web(mapping(8080, 53, "udp", OTHER[family]), name="newcomer")
    assert ask(site, family, address=OTHER[family]) == "newcomer"
    newcomer.detach()

    assert before <= flows(site, family)


def flows(site: Site, family: int) -> set[str]:
    """Return the IDs of the UDP flows that the kernel knows."""
    listing = ["conntrack", "-L", "-f", f"ipv{family}", "-p", "udp", "-o", "id"]
    return {line.rpartition("id=")[2] for line in site.host.run(listing).text.splitlines()}
