from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.isolator.dns import (
    DefaultDns,
    Dns,
    parse_default_container_dns,
    parse_dns,
    parse_nameservers,
    render_resolv_conf,
    resolve,
)

ONE, TWO = Dns(("192.0.2.1",)), Dns(("192.0.2.2",))
NO_DEFAULTS = DefaultDns()


@pytest.mark.parametrize(
    ("dns", "text"),
    [
        (Dns(), ""),
        (Dns(domain="a.test"), "domain a.test\n"),
        (Dns(("192.0.2.1", "192.0.2.2")), "nameserver 192.0.2.1\nnameserver 192.0.2.2\n"),
        (Dns(search=("a", "b")), "search a b\n"),
        (Dns(options=("x:1", "y")), "options x:1 y\n"),
        (
            Dns(("192.0.2.1",), "d", ("s", "s"), ("o",)),
            "domain d\nsearch s s\noptions o\nnameserver 192.0.2.1\n",
        ),
    ],
    ids=["empty", "domain", "servers", "search", "options", "all"],
)
def test_the_text_is_in_mesos_order(dns: Dns, text: str) -> None:
    assert render_resolv_conf(dns) == text


def test_plugins_come_first_then_the_networks_default_then_the_nameless() -> None:
    defaults = DefaultDns({"net": ONE}, TWO)
    own = Dns(("192.0.2.9",))

    assert resolve([("net", own)], defaults, []) == own
    assert resolve([("net", Dns())], defaults, []) == ONE
    assert resolve([("other", Dns())], defaults, []) == TWO
    assert resolve([("other", Dns())], DefaultDns({"net": ONE}), ["192.0.2.8"]) is None
    assert resolve([], defaults, ["192.0.2.8"]) is None


def test_networks_are_merged_in_their_order_and_the_last_domain_counts() -> None:
    networks = [
        ("b", Dns(("2",), "b.test", ("s2",), ("o2",))),
        ("a", Dns(("1",), "a.test", ("s1",), ("o1",))),
        ("c", Dns(("3",))),
    ]

    assert resolve(networks, NO_DEFAULTS, ["8"]) == Dns(
        ("2", "1", "3"), "a.test", ("s2", "s1"), ("o2", "o1")
    )


def test_a_search_list_without_name_servers_is_kept() -> None:
    only = Dns(domain="d", search=("s",), options=("o",))

    assert resolve([("net", only)], NO_DEFAULTS, ["8", "9"]) == Dns(("8", "9"), "d", ("s",), ("o",))
    default = DefaultDns({}, Dns(("1",), "x", ("y",), ("z",)))
    assert resolve([("net", only)], default, ["8"]) == Dns(("1",), "d", ("s",), ("o",))


@given(st.text(), st.lists(st.text()))
def test_whatever_a_plugin_returns_makes_one_line_of_each_kind(
    domain: str, words: list[str]
) -> None:
    try:
        dns = parse_dns({"domain": domain, "search": words, "options": words}, "dns")
    except CniError as error:
        assert error.msg.startswith("dns.")
        return
    lines = render_resolv_conf(dns).splitlines()
    assert len(lines) == len({line.split(" ")[0] for line in lines}) <= 3


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], "dns: "),
        ({"nameservers": "x"}, "dns.nameservers: "),
        ({"nameservers": [1]}, "dns.nameservers[0]: "),
        ({"search": ["a b"]}, "dns.search: "),
        ({"options": ["a\nb"]}, "dns.options: "),
        ({"domain": 1}, "dns.domain: "),
    ],
)
def test_a_wrong_dns_is_named(document: object, path: str) -> None:
    with pytest.raises(CniError) as failure:
        parse_dns(document, "dns")

    assert failure.value.msg.startswith(path)


def test_an_absent_dns_and_empty_words_are_nothing() -> None:
    assert parse_dns(None, "dns") == Dns()
    assert parse_dns({"nameservers": ["", "192.0.2.1"], "search": [""]}, "dns") == ONE


def test_the_hosts_name_servers_are_read_from_its_file() -> None:
    text = "# nameserver 1\nsearch a\n nameserver  192.0.2.1 # x\nnameserver\n\nnameserver ::1\n"

    assert parse_nameservers(text) == ("192.0.2.1", "::1")


def entry(mode: str, name: str | None = None, **dns: Any) -> dict[str, Any]:
    named = {"network_name": name} if name else {}
    return {"network_mode": mode, "dns": dns or {"nameservers": ["192.0.2.1"]}, **named}


def test_defaults_are_read_as_mesos_documents_them() -> None:
    document = {
        "mesos": [entry("CNI", "net"), entry("CNI", nameservers=["192.0.2.2"])],
        "docker": [entry("BRIDGE"), entry("USER", "net"), entry("USER", "other")],
    }

    assert parse_default_container_dns(document) == DefaultDns({"net": ONE}, TWO)
    assert parse_default_container_dns({}) == NO_DEFAULTS


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "default_container_dns: must be an object"),
        ({"mesos": {}}, ".mesos: must be an array"),
        ({"mesos": [1]}, ".mesos[0]: must be an object"),
        ({"mesos": [entry("UNKNOWN")]}, ".mesos[0].network_mode: 'UNKNOWN' cannot be configured"),
        ({"mesos": [entry("HOST")]}, ".mesos[0].network_mode: 'HOST' cannot be configured"),
        ({"mesos": [entry("cni")]}, ".mesos[0].network_mode: 'cni' is no mode; use CNI"),
        ({"mesos": [{"network_mode": "CNI"}]}, ".mesos[0].dns: is missing"),
        ({"mesos": [{"dns": {}}]}, ".mesos[0].network_mode: is missing"),
        ({"mesos": [entry("CNI"), entry("CNI")]}, ".mesos[1]: is a second CNI entry without"),
        (
            {"mesos": [entry("CNI", "a"), entry("CNI", "a")]},
            ".mesos[1]: is a second CNI entry for the network 'a'",
        ),
        ({"docker": [entry("BRIDGE"), entry("BRIDGE")]}, ".docker[1]: is a second BRIDGE entry"),
        ({"docker": [entry("CNI")]}, ".docker[0].network_mode: 'CNI' is no mode"),
        ({"mesos": [entry("CNI", nameservers=1)]}, ".mesos[0].dns.nameservers: must be an array"),
    ],
)
def test_wrong_defaults_are_named(document: Any, complaint: str) -> None:
    with pytest.raises(CniError) as failure:
        parse_default_container_dns(document)

    assert complaint in failure.value.msg
