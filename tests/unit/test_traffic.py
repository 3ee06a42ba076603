"""How traffic is treated: what the options mean, and which are refused."""

from typing import Any

import pytest

from mesos_cni_port_mapper.cni.errors import CniError
from mesos_cni_port_mapper.cni.fields import Section
from mesos_cni_port_mapper.portmap.traffic import Traffic, parse_policy, parse_traffic


def traffic(**keys: object) -> Traffic:
    return parse_traffic(Section(keys), "iptables")


def refusal_of(**keys: object) -> tuple[int, str]:
    with pytest.raises(CniError) as refusal:
        traffic(**keys)
    return refusal.value.code, str(refusal.value)


@pytest.mark.parametrize("keys", [{}, {"snat": None, "masqAll": False}], ids=str)
def test_nothing_is_done_that_is_not_asked_for(keys: dict[str, Any]) -> None:
    assert traffic(**keys) == Traffic(
        snat=False,
        localhost=False,
        masquerade_all=False,
        mark=0,
        mark_chain="",
        conditions_v4=(),
        conditions_v6=(),
    )


def test_every_option_is_read() -> None:
    assert traffic(
        snat=True,
        localhost=True,
        masqAll=True,
        markMasqBit=13,
        conditionsV4=["!", "-s", "192.0.2.0/24"],
        conditionsV6=["-s", "2001:db8::/64"],
    ) == Traffic(
        snat=True,
        localhost=True,
        masquerade_all=True,
        mark=0x2000,
        mark_chain="",
        conditions_v4=("!", "-s", "192.0.2.0/24"),
        conditions_v6=("-s", "2001:db8::/64"),
    )


def test_conditions_are_for_their_family() -> None:
    asked = Traffic(conditions_v4=("-f",), conditions_v6=("-s", "::/0"))

    assert (asked.conditions(4), asked.conditions(6)) == (("-f",), ("-s", "::/0"))


@pytest.mark.parametrize("key", ["snat", "localhost", "masqAll"])
@pytest.mark.parametrize(
    ("value", "shown"), [(1, "1"), ("true", "'true'"), ([], "an array")], ids=str
)
def test_a_switch_is_on_or_off(key: str, value: object, shown: str) -> None:
    assert refusal_of(**{key: value}) == (7, f"{key}: must be true or false, not {shown}")


@pytest.mark.parametrize(("bit", "mark"), [(0, 1), (31, 0x80000000)])
def test_a_bit_of_the_mark_is_named_by_its_number(bit: int, mark: int) -> None:
    assert traffic(markMasqBit=bit).mark == mark


@pytest.mark.parametrize(
    ("bit", "shown"), [(-1, "-1"), (32, "32"), (True, "true"), ("0x2000", "'0x2000'")], ids=str
)
def test_a_bit_that_no_mark_has_is_refused(bit: object, shown: str) -> None:
    assert refusal_of(markMasqBit=bit) == (
        7,
        f"markMasqBit: must be a whole number from 0 to 31, not {shown}",
    )


@pytest.mark.parametrize("chain", ["KUBE-MARK-MASQ", "_x", "9.a", "C" * 28])
def test_a_foreign_chain_is_named(chain: str) -> None:
    assert traffic(externalSetMarkChain=chain) == Traffic(mark_chain=chain)


@pytest.mark.parametrize(
    ("chain", "fault"),
    [
        *[
            (chain, "must hold letters, digits, '_', '.' and '-' only and begin with a letter, ")
            for chain in ("-x", "!x", "a b", "a\n-F", 'a"b', "ä", "---")
        ],
        ("C" * 29, "is longer than 28 characters"),
        ("ACCEPT", "is the name of a target; "),
        ("OUTPUT", "is a built-in chain; "),
        ("MPM-LO-x", "begins with MPM-, "),
    ],
    ids=ascii,
)
def test_what_is_no_foreign_chain_is_refused(chain: str, fault: str) -> None:
    code, message = refusal_of(externalSetMarkChain=chain)

    assert (code, message.startswith(f"externalSetMarkChain: {chain!a} {fault}")) == (7, True)


def test_a_bit_and_a_foreign_chain_exclude_each_other() -> None:
    assert refusal_of(markMasqBit=13, externalSetMarkChain="X") == (
        7,
        "markMasqBit: cannot be given together with externalSetMarkChain",
    )


@pytest.mark.parametrize("key", ["conditionsV4", "conditionsV6"])
@pytest.mark.parametrize(
    "words",
    [
        ["-s", "192.0.2.0/24"],
        ["!", "-i", "eth0"],
        ["-m", "set", "--match-set", "allowed", "src"],
        ["-m", "recent", "--set"],
        ["-m", "addrtype", "--src-type", "LOCAL", "--limit-iface-in"],
        ["-m", "physdev", "--physdev-in", "eth+"],
        ["-m", "hashlimit", "--hashlimit-above=5/sec"],
        ["-m", "u32", "--u32", "0>>22&0x3C@4=0"],
    ],
    ids=" ".join,
)
def test_conditions_are_matches(key: str, words: list[str]) -> None:
    parsed = traffic(**{key: words})

    assert (parsed.conditions_v4, parsed.conditions_v6) == (
        (tuple(words), ()) if key == "conditionsV4" else ((), tuple(words))
    )


@pytest.mark.parametrize("key", ["conditionsV4", "conditionsV6"])
@pytest.mark.parametrize(
    "word",
    [
        "-j",
        "-jACCEPT",
        "--jump",
        "--jum",
        "--j",
        "--",
        "-g",
        "--goto",
        "--go=CHAIN",
        "-A",
        "-D",
        "-t",
        "--table=filter",
        "--table",
        "--set-counters",
        "--set-c",
        "-c",
        "--insert",
        "--flush",
        "-w",
        "-h",
        "-4",
        "-6",
        "-N",
        "-",
        "-s192.0.2.0/24",
    ],
)
def test_a_condition_never_acts(key: str, word: str) -> None:
    assert refusal_of(**{key: ["-s", "a", word]}) == (
        7,
        f"{key}[2]: {word!a} is no match; conditions only narrow a rule down",
    )


@pytest.mark.parametrize(
    "word", ["", "a b", "a\nCOMMIT", 'a"b', "a'b", "a\\", "\x7f", "ä"], ids=ascii
)
def test_a_condition_is_a_word(word: str) -> None:
    complaint = f"{word!a} must be one word, without quotes" if word else "is empty"

    assert refusal_of(conditionsV4=[word]) == (7, f"conditionsV4[0]: {complaint}")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("-s 192.0.2.0/24", "conditionsV4: must be an array, not '-s 192.0.2.0/24'"),
        (["-s", 5], "conditionsV4[1]: must be a string, not 5"),
    ],
    ids=str,
)
def test_conditions_of_the_wrong_type_are_refused(words: object, complaint: str) -> None:
    assert refusal_of(conditionsV4=words) == (7, complaint)


@pytest.mark.parametrize("default", ["fail", "takeover"])
def test_a_policy_is_the_runtime_s_unless_it_is_said(default: str) -> None:
    assert parse_policy(Section({"onConflict": None}), default) == default
    for policy in ("fail", "takeover", "ignore", "strict"):
        assert parse_policy(Section({"onConflict": policy}), default) == policy


@pytest.mark.parametrize(
    ("policy", "code", "complaint"),
    [
        ("Fail", 2, "'Fail' is none of fail, takeover, ignore, strict"),
        ("", 2, "'' is none of fail, takeover, ignore, strict"),
        (5, 7, "must be a string, not 5"),
    ],
    ids=str,
)
def test_a_policy_is_refused(policy: object, code: int, complaint: str) -> None:
    with pytest.raises(CniError) as refusal:
        parse_policy(Section({"onConflict": policy}), "fail")

    assert (refusal.value.code, str(refusal.value)) == (code, f"onConflict: {complaint}")
