"""What mappings have been used for, read out of what the tools print."""

from mesos_cni_port_mapper.netfilter.counters import Count, parse_rules, sum_of
from mesos_cni_port_mapper.portmap.listing import parse_counted
from mesos_cni_port_mapper.portmap.mapping import PortRun
from mesos_cni_port_mapper.portmap.nft_listing import parse_nft_listing

TAGGED = '-m comment --comment "a tag"'
SAVED = f"""# Generated
*nat
:PREROUTING ACCEPT [7:420]
[3:180] -A CHAIN -p tcp -m tcp --dport 8080 {TAGGED} -j DNAT --to-destination 10.0.0.2:80
[2:90] -A LO -d 127.0.0.1/32 -p udp -m udp --dport 53:60 {TAGGED} -j DNAT --to-destination 10.0.0.2
[9:99] -A CHAIN -p tcp -m tcp --dport 8080 {TAGGED} -j RETURN
[1:60] -A CHAIN -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.0.0.3:80
COMMIT
""".encode()


def test_rules_that_forward_are_counted_by_tag() -> None:
    counts = parse_rules(parse_counted(SAVED))

    assert counts == {
        "a tag": [
            Count(protocol="tcp", destination="", first=8080, last=8080, packets=3, bytes=180),
            Count(
                protocol="udp", destination="127.0.0.1/32", first=53, last=60, packets=2, bytes=90
            ),
        ]
    }


def run(first: int, count: int = 1, protocol: str = "tcp", address: str = "") -> PortRun:
    return PortRun(
        protocol=protocol, host_address=address, host_port=first, container_port=1, count=count
    )


def test_a_run_is_the_sum_of_what_is_in_it() -> None:
    (counts,) = parse_rules(parse_counted(SAVED)).values()

    assert sum_of(run(8080), [*counts, *counts]) == (6, 360)
    assert sum_of(run(8000, 100), counts) == (3, 180)
    assert sum_of(run(50, 20, "udp", "127.0.0.1"), counts) == (2, 90)
    assert sum_of(run(50, 20, "udp"), counts) is None
    assert sum_of(run(54, 9, "udp", "127.0.0.1"), counts) is None
    assert sum_of(run(50, 9, "udp", "127.0.0.1"), counts) is None
    assert sum_of(run(8080, protocol="sctp"), counts) is None


def test_elements_tell_what_they_counted() -> None:
    element = '{"elem": {"val": {"concat": ["tcp", 80]}, "counter": {"packets": 4, "bytes": 240}}}'
    kinds = '"type": ["inet_proto", "inet_service"]'
    table = f'{{"name": "any", {kinds}, "elem": [[{element}, "10.0.0.2"]]}}'
    listing = parse_nft_listing(f'{{"nftables": [{{"map": {table}}}]}}'.encode())

    held = listing.containers["any"]["tcp . 80"]

    assert (held.value, held.counted) == ("10.0.0.2", (4, 240))
