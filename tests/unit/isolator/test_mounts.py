import json
from pathlib import Path

from mesos_cni_port_mapper.isolator.counters import FIELDS, sum_counters
from mesos_cni_port_mapper.isolator.mounts import (
    Mount,
    find_mounts,
    is_mount_point,
    is_namespace,
    is_shared_alone,
    read_mounts,
)

TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:25 / /run rw,nosuid shared:5 master:1 - tmpfs tmpfs rw
41 30 0:25 /a\\040b /run/a\\040b rw shared:9 - tmpfs tmpfs rw
42 30 0:25 /c /run/c rw shared:5 - tmpfs tmpfs rw
43 30 0:25 /d /run/d rw master:5 propagate_from:1 - tmpfs tmpfs rw
44 43 0:25 /e /run/d rw - tmpfs tmpfs rw
45 30 0:25 /f /run/f\u2028f rw shared:7 - tmpfs tmpfs rw
"""


def is_alone(path: str) -> bool:
    return is_shared_alone(find_mounts(TABLE, path), path)


def test_of_a_mount_table_is_read_what_is_at_a_path_and_what_that_is_on() -> None:
    run = Mount(30, 22, "/run", 5)

    assert find_mounts(TABLE, "/run") == [Mount(22, 1, "/", 1), run]
    assert find_mounts(TABLE, "/run/a b") == [run, Mount(41, 30, "/run/a b", 9)]
    stacked = [Mount(43, 30, "/run/d", None), Mount(44, 43, "/run/d", None)]
    assert find_mounts(TABLE, "/run/d") == [run, *stacked]
    assert find_mounts(TABLE, "/run/f\u2028f") == [run, Mount(45, 30, "/run/f\u2028f", 7)]
    assert find_mounts(TABLE, "/nowhere") == []


def test_a_root_must_be_shared_and_not_with_what_it_is_in() -> None:
    assert is_alone("/run/a b")
    assert not is_alone("/run/c")
    assert not is_alone("/run/d")
    assert not is_alone("/run/e")
    # What was mounted from there is not what is mounted there.
    assert [
        is_mount_point(find_mounts(TABLE, path), path) for path in ("/run/d", "/run/e", "/c")
    ] == [True, False, False]


def test_this_machines_table_can_be_read() -> None:
    assert is_mount_point(read_mounts("/"), "/")


def test_a_namespaces_handle_is_told_from_a_file_and_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/proc/self/ns/net")

    assert not is_namespace(tmp_path / "file")
    assert not is_namespace(tmp_path / "link")
    assert not is_namespace(tmp_path / "absent")


COUNTERS = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:      99       9    9    9    0     0          0         0       99       9    9    9    0     0       0          0
  eth0:     614       5    1    2    0     0          0         0      382       6    3    4    0     0       0          0
  eth1:1000000000       1    0    0    0     0          0         0        1       1    0    0    0     0       0          0
"""  # noqa: E501 - the kernel's


def test_the_counters_of_the_containers_interfaces_are_added_up() -> None:
    one = {
        "net_rx_bytes": 614,
        "net_rx_packets": 5,
        "net_rx_errors": 1,
        "net_rx_dropped": 2,
        "net_tx_bytes": 382,
        "net_tx_packets": 6,
        "net_tx_errors": 3,
        "net_tx_dropped": 4,
    }

    assert sum_counters(COUNTERS, {"eth0"}) == one
    both = sum_counters(COUNTERS, {"eth0", "eth1", "eth2"})
    assert json.dumps([both["net_rx_packets"], both["net_tx_bytes"]]) == "[6, 383]"
    assert sum_counters("", {"eth0"}) == dict.fromkeys(FIELDS, 0)
