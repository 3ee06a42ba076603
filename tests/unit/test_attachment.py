"""Tags: one for each attachment, whole where they fit, and findable where they do not."""

import string
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesos_cni_port_mapper.portmap.attachment import (
    LONGEST_COMMENT,
    Attachment,
    bare_tag_of,
    is_tag,
    record_name,
    tag_of,
)

LONG = "c" * 300

NAMES = st.builds(
    lambda first, rest: first + rest,
    st.sampled_from("ab1"),
    st.text("ab1_.-", max_size=5) | st.text("ab", min_size=90, max_size=280),
)
INTERFACES = st.text(
    "".join(sorted(set(string.printable) - set(string.whitespace) - set("/:\"'\\"))),
    min_size=1,
    max_size=15,
)
ATTACHMENTS = st.builds(Attachment, network=NAMES, container_id=NAMES, ifname=INTERFACES)


def digest(name: str) -> str:
    """Return what stands for a name that does not fit."""
    return "#" + blake2b(name.encode(), digest_size=16).hexdigest()


def attachment(
    network: str = "net", container_id: str = "web-1", ifname: str = "eth0"
) -> Attachment:
    return Attachment(network=network, container_id=container_id, ifname=ifname)


def test_a_tag_names_the_attachment() -> None:
    assert tag_of(attachment()) == "container_id: web-1 network: net ifname: eth0"


def test_a_tag_that_just_fits_is_whole() -> None:
    container_id = "c" * (255 - len("container_id:  network: net ifname: eth0"))

    tag = tag_of(attachment(container_id=container_id))

    assert (len(tag), tag) == (255, f"container_id: {container_id} network: net ifname: eth0")


def test_a_network_s_name_is_the_first_to_give_way() -> None:
    tag = tag_of(attachment(network="n" * 200, container_id="c" * 40))

    assert tag == (f"container_id: {'c' * 40} network: {digest('n' * 200)} ifname: eth0")


def test_a_tag_that_is_a_byte_too_long_is_shortened() -> None:
    network = "n" * (256 - len("container_id: web-1 network:  ifname: eth0"))

    assert tag_of(attachment(network=network[1:])).split(" ")[3] == network[1:]
    assert tag_of(attachment(network=network)).split(" ")[3] == digest(network)


def test_a_container_s_id_is_the_last_to_give_way() -> None:
    assert tag_of(attachment(container_id=LONG)) == (
        f"container_id: {digest(LONG)} network: net ifname: eth0"
    )


def test_a_name_shorter_than_its_digest_is_kept() -> None:
    assert tag_of(attachment(network="n" * 33, container_id=LONG)).endswith(
        f" network: {'n' * 33} ifname: eth0"
    )


def test_both_names_may_give_way() -> None:
    tag = tag_of(attachment(network="n" * 300, container_id=LONG))

    assert [len(word) for word in tag.split(" ")] == [13, 33, 8, 33, 7, 4]


@given(ATTACHMENTS, st.sampled_from([128, LONGEST_COMMENT]))
def test_a_tag_fits_into_a_comment(one: Attachment, longest: int) -> None:
    assert len(tag_of(one, longest).encode("ascii")) <= longest


@given(ATTACHMENTS, ATTACHMENTS, st.sampled_from([128, LONGEST_COMMENT]))
def test_two_attachments_never_share_a_tag(
    one: Attachment, other: Attachment, longest: int
) -> None:
    assert (tag_of(one, longest) == tag_of(other, longest)) == (one == other)


@given(ATTACHMENTS, st.sampled_from([128, LONGEST_COMMENT]))
def test_a_network_s_rules_can_be_told_by_its_name_or_its_digest(
    one: Attachment, longest: int
) -> None:
    assert tag_of(one, longest).split(" ")[3] in (one.network, digest(one.network))


@given(ATTACHMENTS)
def test_the_original_s_tag_is_part_of_ours_as_long_as_it_can_be(one: Attachment) -> None:
    bare = f"container_id: {one.container_id} "
    network = min(one.network, digest(one.network), key=len)

    assert tag_of(one).startswith(bare) == (
        len(f"{bare}network: {network} ifname: {one.ifname}") <= LONGEST_COMMENT
    )


def test_the_original_s_tag_is_the_container_s_id_alone() -> None:
    assert bare_tag_of(attachment()) == "container_id: web-1"


@pytest.mark.parametrize(("length", "fits"), [(241, True), (242, False)])
def test_the_original_s_tag_is_nobody_s_once_it_is_cut(length: int, fits: bool) -> None:
    container_id = "c" * length

    assert bare_tag_of(attachment(container_id=container_id)) == (
        f"container_id: {container_id}" if fits else ""
    )


def test_a_record_s_name_is_a_file_name_whatever_the_attachment() -> None:
    name = record_name(attachment(network=LONG, container_id=LONG))

    assert (len(name), set(name) <= set("0123456789abcdef")) == (32, True)


@given(ATTACHMENTS, ATTACHMENTS)
def test_two_attachments_never_share_a_record(one: Attachment, other: Attachment) -> None:
    assert (record_name(one) == record_name(other)) == (one == other)


def test_fields_of_an_attachment_cannot_flow_into_each_other() -> None:
    one, other = attachment(network="a", container_id="bc"), attachment("ab", "c")

    assert record_name(one) != record_name(other)
    assert tag_of(one) != tag_of(other)


def test_an_attachment_reads_as_a_sentence() -> None:
    assert str(attachment()) == "container web-1 on network net (eth0)"


@given(ATTACHMENTS)
def test_a_tag_is_told_from_other_comments(one: Attachment) -> None:
    assert is_tag(tag_of(one))


@pytest.mark.parametrize(
    "comment",
    [
        "",
        "container_id: web-1",
        "container_id: web-1 network: net",
        "container_id: web-1 network: net ifname:",
        "container_id: web-1 network: net ifname: eth0 more",
        "name: web-1 network: net ifname: eth0",
        "not container_id: web-1 network: net ifname: eth0",
    ],
)
def test_another_comment_is_no_tag(comment: str) -> None:
    assert not is_tag(comment)
