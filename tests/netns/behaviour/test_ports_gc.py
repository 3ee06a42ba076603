"""`ports gc`: what a list of valid containers does not name goes, addresses too where possible."""

import json
from typing import Any

import pytest

from tests.netns.behaviour.site import (
    NOTHING,
    OWN,
    STATE,
    Imagined,
    Member,
    Site,
    everything,
    mapping,
    name_of,
    owners,
)
from tests.netns.ports import Ports
from tests.support.traffic import connect_tcp

CONFIGURATIONS = "/run/networks"
RUNTIME = "/run/mesos"


def configure(site: Site, member: Member) -> tuple[str, ...]:
    """Write a member's configuration down, and return the flags that find it and its delegate."""
    directory = site.host.path(CONFIGURATIONS)
    directory.mkdir(exist_ok=True)
    name = member.netconf["name"]
    (directory / f"{name}.conf").write_text(json.dumps(dict(member.netconf)))
    plugins = ":".join(member.plugin.cni_path)
    return (
        f"--network_cni_config_dir={CONFIGURATIONS}",
        f"--network_cni_plugins_dir={plugins}",
    )


def leases(site: Site) -> list[str]:
    names = [name.rpartition("/")[2] for name in site.host.files("/var/lib/cni")]
    return sorted(name for name in names if name[0].isdigit())


def listed(kind: str, name: str) -> str:
    if kind == "list":
        return json.dumps([{"containerID": name, "ifname": "eth0"}])
    if kind == "configuration":
        valid = [{"containerID": name, "ifname": "eth0"}]
        return json.dumps({"cni.dev/valid-attachments": valid})
    return f"{name}\n" if kind == "lines" else f"\n{name} eth0\n"


@pytest.mark.parametrize("kind", ["list", "configuration", "lines", "interfaces"])
def test_rules_and_addresses_of_who_is_not_listed_go(site: Site, kind: str) -> None:
    stays = site.web(mapping(8080), name="stays")
    site.web(mapping(8081), name="goes")
    flags = configure(site, stays)

    told = Ports(site.host).succeed(
        "gc", "--valid-from", "-", *flags, input=listed(kind, "stays").encode()
    )

    assert told == "container goes on network net-1 (eth0): removed\n"
    assert owners(site) == {"stays"}
    assert leases(site) == ["10.1.0.2"]
    assert name_of(connect_tcp(site.host.client, OWN[4], 8080)) == "stays"
    stays.detach()
    assert everything(site) == NOTHING


def test_a_state_directory_of_mesos_says_who_is_valid(site: Site) -> None:
    stays = site.web(mapping(8080), name="stays")
    site.web(mapping(8081), name="goes")
    root = site.host.path(f"{RUNTIME}/isolators/network/cni")
    (root / "stays/net-1/eth0").mkdir(parents=True)
    # On another network than the one it has left something of.
    (root / "goes/net-2/eth0").mkdir(parents=True)
    flags = configure(site, stays)
    ports = Ports(site.host)
    before = everything(site)

    told = ports.succeed("gc", "--valid-from", RUNTIME, "--dry-run", *flags)

    assert told == "container goes on network net-1 (eth0): would go\n"
    assert everything(site) == before

    ports.succeed("gc", "--valid-from", RUNTIME, *flags)

    assert owners(site) == {"stays"}
    assert ports.succeed("gc", "--valid-from", RUNTIME, *flags) == "nothing to do\n"


def test_without_a_configuration_it_is_rules_only_and_said_so(site: Site) -> None:
    member = site.web(mapping(8080), name="goes")
    path = site.host.path("/run/valid")
    path.write_text("[]")
    ports = Ports(site.host)

    told = ports.succeed("gc", "--valid-from", "/run/valid")

    assert told == (
        "container goes on network net-1 (eth0): removed; rules only, net-1 has no configuration "
        "here\n"
    )
    assert owners(site) == set()
    assert leases(site) == ["10.1.0.2"]

    ports.succeed("gc", "--valid-from", "/run/valid", *configure(site, member))

    assert leases(site) == []
    assert everything(site) == NOTHING


def test_rules_on_no_record_go_without_a_configuration_too(site: Site) -> None:
    networks = Imagined(site)
    for port, name in enumerate(("stays", "lost"), 8080):
        networks.member(name, mapping(port)).attach()
    for record in site.host.path(STATE).glob("*/attachments/*"):
        if b'"lost"' in record.read_bytes():
            record.unlink()

    told = Ports(site.host).succeed(
        "gc", "--valid-from", "-", input=listed("lines", "stays").encode()
    )

    assert told.startswith("on no record: removed, ")
    assert owners(site) == {"stays"}


def test_the_record_that_is_asked_for_is_the_one_that_is_cleared(maps_site: Site) -> None:
    networks = Imagined(maps_site)
    networks.member("web", mapping(8080), stateDir="/run/elsewhere").attach()
    flags = ("--state-dir", "/run/elsewhere")
    ports = Ports(maps_site.host)
    # Its configuration says nothing of a directory.
    configured = configure(maps_site, networks.member("another"))

    ports.succeed("gc", "--valid-from", "-", *flags, *configured, input=b"[]")

    assert ports.json("ls", *flags) == []
    assert owners(maps_site) == set()


def test_a_list_of_plugins_is_a_configuration_too(site: Site) -> None:
    member = site.web(mapping(8080), name="goes")
    flags = configure(site, member)
    document = {key: member.netconf[key] for key in ("cniVersion", "name")}
    plugin = {key: value for key, value in member.netconf.items() if key not in document}
    path = site.host.path(f"{CONFIGURATIONS}/net-1.conf")
    path.unlink()
    path.with_suffix(".conflist").write_text(json.dumps({**document, "plugins": [plugin]}))

    document = json.loads(
        Ports(site.host).succeed("gc", "--valid-from", "-", "--json", *flags, input=b"[]")
    )

    assert document == {
        "dry_run": False,
        "networks": [
            {
                "network": "net-1",
                "delegates_asked": True,
                "removed": [{"container_id": "goes", "network": "net-1", "interface": "eth0"}],
                "strays": [],
            }
        ],
        "problems": [],
    }
    assert everything(site) == NOTHING


def test_a_delegate_that_fails_is_told_of(site: Site) -> None:
    member = site.web(mapping(8080), name="goes")
    flags = configure(site, member)

    left = Ports(site.host).run(
        "gc", "--valid-from", "-", flags[0], "--network_cni_plugins_dir=/run", input=b"[]"
    )

    assert left.status == 1
    assert "bridge" in left.stderr
    assert owners(site) == set()


@pytest.mark.parametrize(
    "text", ["", "\n", "[", "{}", "[1]", '[{"containerID": "web"}]', "web eth0 more", "../web"]
)
def test_garbage_for_a_list_takes_nothing(shared_site: Site, text: str) -> None:
    site = shared_site
    if "web" not in owners(site):
        Imagined(site).member("web", mapping(8080)).attach()
    before = everything(site)

    left = Ports(site.host).run("gc", "--valid-from", "-", input=text.encode())

    assert (left.status, left.stdout) == (2, "")
    assert left.stderr.startswith("mesos-cni: --valid-from: ")
    assert len(left.stderr.splitlines()) == 1
    assert everything(site) == before


@pytest.mark.parametrize("source", ["/run/none", "/run", "/proc/self/mem"])
def test_a_source_that_is_none_takes_nothing(shared_site: Site, source: str) -> None:
    left: Any = Ports(shared_site.host).run("gc", "--valid-from", source)

    assert (left.status, left.stdout) == (2, "")
    assert left.stderr.startswith("mesos-cni: --valid-from: ")
    assert len(left.stderr.splitlines()) == 1
