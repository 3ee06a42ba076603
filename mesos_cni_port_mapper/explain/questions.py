"""The matches of iptables, as questions that are answered for the first packet of a connection."""

from __future__ import annotations

from collections.abc import Callable

from mesos_cni_port_mapper.explain.model import Match, Test
from mesos_cni_port_mapper.explain.packet import Packet, Surroundings, Tri, negated, network_of

_FIRST_STATES = frozenset(("NEW", "UNTRACKED"))
_SYN = ("FIN,SYN,RST,ACK", "SYN")


def parse_matches(words: list[str]) -> list[Match]:
    """Return what the words of a rule ask, but for its target."""
    matches: list[Match] = []
    position, module, unsettled = 0, "", ""
    while position < len(words):
        start = position
        position += words[position] == "!"
        end = _end_of(words, position)
        option, values = "".join(words[position : position + 1]), words[position + 1 : end]
        position = end
        if option == "-m":
            module = "".join(values)
        elif option not in _IGNORED:
            test = _test(module, option, values)
            text = " ".join(words[start:end])
            if test is not _unknown:
                asked = _inverted(test) if words[start] == "!" else test
                matches.append(Match(text, asked, device=option in ("-i", "-o")))
            elif unsettled == module and matches and matches[-1].test is _unknown:
                # One module's options together are one question.
                matches[-1] = Match(f"{matches[-1].text} {text}", _unknown)
            else:
                unsettled = module
                matches.append(Match(f"-m {module} {text}" if module else text, _unknown))
    return matches


_FLAGS = ("--syn", "-f", "--random", "--limit-iface-in", "--limit-iface-out")
_IGNORED = ("--comment", "")


def _end_of(words: list[str], position: int) -> int:
    """Return where the values of an option end; how many one has that is not known is guessed."""
    end = position + 1
    if words[position:end] == ["--comment"]:
        return end + 1
    if words[position:end] and words[position] in _FLAGS:
        return end
    while end < len(words) and (end == position + 1 or not _is_option(words[end])):
        end += 1
    return end


def _is_option(word: str) -> bool:
    return word == "!" or (word.startswith("-") and not word[1:].isdigit() and len(word) > 1)


def _inverted(test: Test) -> Test:
    return lambda packet, host: negated(test(packet, host))


def _unknown(_packet: Packet, _host: Surroundings) -> Tri:
    return None


def _test(module: str, option: str, values: list[str]) -> Test:
    known = _TESTS.get(option)
    if option == "--mark" and module != "mark":
        known = None
    if known is None or not values:
        return _FLAG_TESTS.get(option, _unknown)
    try:
        return known(values)
    except ValueError:
        return _unknown


def _source(values: list[str]) -> Test:
    network = network_of(values[0])
    return lambda packet, host: host.may_come_from(packet, network)


def _destination(values: list[str]) -> Test:
    network = network_of(values[0])
    return lambda packet, _: network_of(packet.destination).network_address in network


def _in_device(values: list[str]) -> Test:
    return lambda packet, _: _is_device(packet.in_device, values[0])


def _out_device(values: list[str]) -> Test:
    return lambda packet, _: _is_device(packet.out_device, values[0])


def _is_device(device: str, pattern: str) -> bool:
    return device.startswith(pattern[:-1]) if pattern.endswith("+") else device == pattern


def _protocol(values: list[str]) -> Test:
    numbers = {"6": "tcp", "17": "udp", "132": "sctp", "all": "", "0": ""}
    wanted = numbers.get(values[0], values[0])
    return lambda packet, _: wanted in ("", packet.protocol)


def _ports(values: list[str]) -> Test:
    ranges = [_range(part) for part in values[0].split(",")]
    return lambda packet, _: any(first <= packet.port <= last for first, last in ranges)


def _source_ports(values: list[str]) -> Test:
    ranges = [_range(part) for part in values[0].split(",")]
    return lambda _packet, _host: True if (0, 65535) in ranges else None


def _range(text: str) -> tuple[int, int]:
    first, colon, last = text.partition(":")
    return int(first or 0), int(last or (65535 if colon else first))


def _type_of(destination: bool) -> Callable[[list[str]], Test]:
    def parse(values: list[str]) -> Test:
        kinds = values[0].split(",")

        def test(packet: Packet, host: Surroundings) -> Tri:
            address = packet.destination if destination else packet.source
            if not address:
                return False if kinds == ["LOCAL"] else None
            if host.is_local(address):
                return "LOCAL" in kinds
            # Broadcast and multicast are not told apart, and no connection goes there.
            return "UNICAST" in kinds

        return test

    return parse


def _states(values: list[str]) -> Test:
    wanted = set(values[0].split(","))

    def test(packet: Packet, _: Surroundings) -> Tri:
        if wanted & _FIRST_STATES:
            return True
        return packet.translated if "DNAT" in wanted else False

    return test


def _mark(values: list[str]) -> Test:
    value, _, mask = values[0].partition("/")
    wanted, bits = int(value, 0), int(mask or "0xffffffff", 0)
    return lambda packet, _: None if packet.mark is None else packet.mark & bits == wanted


def _tcp_flags(values: list[str]) -> Test:
    is_syn = tuple(values) == _SYN
    return lambda packet, _: packet.protocol == "tcp" if is_syn else None


_TESTS: dict[str, Callable[[list[str]], Test]] = {
    "-s": _source,
    "-d": _destination,
    "-i": _in_device,
    "-o": _out_device,
    "-p": _protocol,
    "--dport": _ports,
    "--dports": _ports,
    "--sport": _source_ports,
    "--sports": _source_ports,
    "--dst-type": _type_of(destination=True),
    "--src-type": _type_of(destination=False),
    "--ctstate": _states,
    "--state": _states,
    "--mark": _mark,
    "--tcp-flags": _tcp_flags,
}
_FLAG_TESTS: dict[str, Test] = {
    "--syn": lambda packet, _: packet.protocol == "tcp",
    "-f": lambda _packet, _host: False,
}
