import subprocess

from mesos_cni_port_mapper.harness.cradle import arguments
from mesos_cni_port_mapper.harness.orders import (
    Command,
    Link,
    Mount,
    Orders,
    decode_orders,
    encode_orders,
)

HEAVY = {"asyncio", "dataclasses", "inspect", "json", "pathlib", "re", "site", "typing"}


def test_what_an_init_is_told_is_what_was_decided() -> None:
    orders = Orders(
        container_id="web",
        rootfs="/image",
        mounts=[
            Mount(source="proc", target="/proc", kind="proc", flags=14),
            Link(target="/dev/fd", text="/proc/self/fd"),
            Mount(source="/a", target="/b", read_only=True, about="volume /b"),
        ],
        command=Command(program="sleep", argv=["sleep", "1"], environment={"A": "ü"}, tty=True),
    )

    assert decode_orders(encode_orders(orders)) == orders


def test_a_cradle_imports_little_because_all_of_it_is_copied_for_each_container() -> None:
    argv = arguments(0)
    place = argv.index("-c") + 1
    argv[place] = argv[place].replace("main(int(sys.argv[1]))", "print(*sys.modules)")

    done = subprocess.run(argv, capture_output=True, text=True, check=True)

    assert HEAVY & set(done.stdout.split()) == set()
    assert "mesos_cni_port_mapper.harness.init" in done.stdout
