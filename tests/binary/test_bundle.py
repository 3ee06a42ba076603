"""What is in the bundle, what is not, and that it runs wherever it is put."""

import json
import marshal
import subprocess
from pathlib import Path

from PyInstaller.archive.readers import CArchiveReader

from delegates.catalogue import BUILT_IN

# Debian's libpython alone is 7.7 MB; with the two libraries that it needs and PyInstaller's loader,
# 8.1 MB are not ours to save.
MAX_BYTES = 9_200_000
MAX_FILES = 14

# ctypes, with which a namespace is entered, and the message classes of pyroute2 come on top.
MAX_BYTES_OF_DELEGATES = 10_500_000

PARTS = {"mesos-cni-port-mapper", ".mesos-cni-port-mapper-lib"}
DELEGATES = ".mesos-cni-delegates"
LIBIPTC = ".mesos-cni-libiptc"

# The interpreter again, ctypes, and the libraries of Debian's package iptables with all modules.
MAX_BYTES_OF_LIBIPTC = 11_500_000


def files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and not path.is_symlink()]


def files_of_plugin(bundle: Path) -> list[Path]:
    return [path for path in files(bundle) if path.relative_to(bundle).parts[0] in PARTS]


def modules_of(program: Path) -> set[str]:
    """Return the names of what a frozen program can import, which its finder, a script, has."""
    finder = marshal.loads(CArchiveReader(str(program)).extract("merged"))
    return {each for each in finder.co_consts if isinstance(each, str)}


def assert_answers_version(program: Path) -> None:
    answer = subprocess.run(
        [program],
        env={"CNI_COMMAND": "VERSION"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert (answer.returncode, answer.stderr) == (0, b"")
    version = json.loads(answer.stdout)
    assert version["cniVersion"] in version["supportedVersions"]


def test_the_build_writes_plugin_delegates_and_libiptc_and_nothing_else(bundle: Path) -> None:
    names = {path.name for path in bundle.iterdir()}

    assert names == {*PARTS, DELEGATES, LIBIPTC}


def test_there_is_a_link_for_each_delegate(bundle: Path) -> None:
    links = {path.name for path in (bundle / DELEGATES).iterdir() if path.is_symlink()}

    assert links == set(BUILT_IN)
    for name in BUILT_IN:
        assert_answers_version(bundle / DELEGATES / name)
    assert (bundle.parent / "delegates" / "bridge").samefile(bundle / DELEGATES / "bridge")


def test_the_bundle_is_small(bundle: Path) -> None:
    found = files_of_plugin(bundle)

    assert len(found) <= MAX_FILES
    assert sum(path.stat().st_size for path in found) <= MAX_BYTES


def test_the_delegates_are_small(bundle: Path) -> None:
    sizes = [path.stat().st_size for path in files(bundle / DELEGATES)]

    assert sum(sizes) <= MAX_BYTES_OF_DELEGATES


def test_the_bundle_has_no_library_that_start_up_would_pay_for(bundle: Path) -> None:
    unwanted = ("_ctypes", "_hashlib", "_ssl", "libcrypto", "libffi", "libssl")

    assert [path for path in files_of_plugin(bundle) if path.name.startswith(unwanted)] == []


def test_of_pyroute2_the_messages_are_frozen_and_nothing_else(bundle: Path) -> None:
    modules = modules_of(bundle / DELEGATES / "mesos-cni-delegate")

    assert {"pyroute2.netlink.rtnl.ifinfmsg", "pyroute2.netlink.rtnl.rtmsg"} <= modules
    # What the library's own __init__ would bring.
    assert modules.isdisjoint({"asyncio", "concurrent", "ssl", "sqlite3", "urllib"})


def test_libiptc_brings_its_libraries_and_the_modules_for_every_rule(bundle: Path) -> None:
    library = bundle / LIBIPTC / ".mesos-cni-libiptc-lib"
    modules = {path.name for path in (library / "xtables").iterdir()}
    ours = "addrtype comment conntrack mark tcp udp sctp standard DNAT MARK MASQUERADE".split()  # noqa: SIM905

    for name in ("libip4tc.so.2", "libip6tc.so.2", "libxtables.so.12", "libxtwrapper.so"):
        assert (library / name).is_file()
    assert {f"libxt_{name}.so" for name in ours} <= modules
    # A link to a module that is not there would be found missing by the one rule that needs it.
    assert all((library / "xtables" / name).exists() for name in modules)
    assert sum(path.stat().st_size for path in files(bundle / LIBIPTC)) <= MAX_BYTES_OF_LIBIPTC


def test_of_python_iptables_the_search_for_libraries_is_left_out(bundle: Path) -> None:
    modules = modules_of(bundle / LIBIPTC / "mesos-cni-libiptc")

    assert {"iptc", "iptc.ip4tc"} <= modules
    assert modules.isdisjoint({"ctypes.util", "distutils", "subprocess", "sysconfig"})


def test_nothing_runs_before_our_first_line_but_what_finds_modules(program: Path) -> None:
    scripts = [name for name, entry in CArchiveReader(str(program)).toc.items() if entry[-1] == "s"]

    assert scripts == ["merged", "__main__"]


def test_error_paths_find_their_modules_and_start_up_finds_no_heavy_ones(program: Path) -> None:
    modules = modules_of(program)

    assert {"json", "json.decoder", "re"} <= modules
    assert modules.isdisjoint({"ctypes", "dataclasses", "inspect", "subprocess", "typing"})


def test_the_program_answers(program: Path) -> None:
    assert_answers_version(program)


def test_a_request_that_is_not_json_is_refused_in_json(program: Path) -> None:
    attachment = {"CNI_CONTAINERID": "web-1", "CNI_NETNS": "/run/netns/web-1", "CNI_IFNAME": "eth0"}

    answer = subprocess.run(
        [program],
        env={"CNI_COMMAND": "ADD", "CNI_PATH": "/nowhere", **attachment},
        input=b'{"cniVersion": "1.0.0',
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert answer.returncode == 1
    assert json.loads(answer.stdout)["code"] == 6


def test_a_copy_answers_where_it_was_copied_to(bundle: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-a", f"{bundle}/.", tmp_path], check=True)

    assert_answers_version(tmp_path / "mesos-cni-port-mapper")
    assert_answers_version(tmp_path / DELEGATES / "host-local")


def test_a_link_to_the_program_answers(program: Path, tmp_path: Path) -> None:
    link = tmp_path / "port-mapper"
    link.symlink_to(program)

    assert_answers_version(link)


def test_the_one_file_answers_alone(one_file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "port-mapper"
    copy.write_bytes(one_file.read_bytes())
    copy.chmod(0o755)

    assert_answers_version(copy)
