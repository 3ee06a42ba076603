"""Make the packages of Debian and Red Hat from what `make build` froze.

No other tool is needed than the one that writes the format: dpkg-deb, rpmbuild. Where one is
missing, its package is left out, and a line says so. The same programs make the same packages.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tree import DEBIAN, NAME, RED_HAT, SHELLS, File, oldest_glibc, plan_tree, write_tree

ROOT = Path(__file__).resolve().parents[1]
SCRATCH = ROOT / ".build" / "packages"
PACKAGING = ROOT / "packaging"
# The moment that the wheel's files have, too.
EPOCH = "1580601600"

SCRIPTS = ("preinst", "postinst", "prerm", "postrm")
CONTROL = """\
Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: libc6 (>= {glibc})
Recommends: iptables | nftables, iproute2
Suggests: containernetworking-plugins
Section: net
Priority: optional
Description: CNI plugin that forwards host ports to containers
 The port mapper of Apache Mesos, written anew, for Mesos and every other
 runtime of CNI plugins: it has another plugin attach a container, and leads
 ports of the host to the address the container got.
 .
 With it come mesos-cni, which runs containers on CNI networks without Mesos
 and looks after their ports, and plugins to delegate to: bridge, ptp, macvlan,
 ipvlan, vlan, loopback, flannel, host-local, static.
"""


def main() -> None:
    """Make both packages, as far as there are tools for them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--version", required=True)
    parser.add_argument("--maintainer", required=True, help="NAME <ADDRESS>")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    asked = parser.parse_args()
    asked.into.mkdir(parents=True, exist_ok=True)
    completions = {shell: _completion(shell) for shell in SHELLS}
    for tool, make in (("dpkg-deb", make_debian), ("rpmbuild", make_red_hat)):
        if shutil.which(tool):
            print(make(asked.into.resolve(), asked.version, asked.maintainer, completions))
        else:
            print(f"{tool} is not here, and so no package is made with it", file=sys.stderr)


def make_debian(
    into: Path, version: str, maintainer: str, completions: Mapping[str, bytes]
) -> Path:
    """Make Debian's package and return its path."""
    entries = plan_tree(ROOT, DEBIAN, completions)
    tree, architecture = SCRATCH / "debian", _output("dpkg", "--print-architecture").strip()
    write_tree(tree, entries)
    files = [entry for entry in entries if isinstance(entry, File)]
    control = CONTROL.format(
        name=NAME,
        version=version,
        architecture=architecture,
        maintainer=maintainer,
        size=sum(len(file.content) for file in files) // 1024,
        glibc=oldest_glibc(entries),
    )
    sums = "".join(f"{_md5(file.content)}  {file.path}\n" for file in files)
    scripts = {name: (PACKAGING / "debian" / name).read_bytes() for name in SCRIPTS}
    write_tree(
        tree / "DEBIAN",
        [
            File("control", control.encode()),
            File("md5sums", sums.encode()),
            *(File(name, script, program=True) for name, script in scripts.items()),
        ],
    )
    made = into / f"{NAME}_{version}_{architecture}.deb"
    # gzip takes a thirtieth of the time that xz takes, for a third more.
    _run("dpkg-deb", "--root-owner-group", "-Zgzip", "-z6", "--build", str(tree), str(made))
    return made


def make_red_hat(
    into: Path, version: str, maintainer: str, completions: Mapping[str, bytes]
) -> Path:
    """Make Red Hat's package and return its path."""
    entries = plan_tree(ROOT, RED_HAT, completions)
    tree, top = SCRATCH / "red-hat", SCRATCH / "rpmbuild"
    write_tree(tree, entries)
    shutil.rmtree(top, ignore_errors=True)
    macros = {
        "_topdir": str(top),
        "_dbpath": str(top / "database"),
        "_rpmdir": str(top / "made"),
        "_buildhost": "localhost",
        "packager": maintainer,
        "program_version": version,
        "program_tree": str(tree),
        "oldest_glibc": oldest_glibc(entries),
    }
    defines = [f"--define={name} {value}" for name, value in macros.items()]
    _run("rpmbuild", "--quiet", *defines, "-bb", str(PACKAGING / "rpm" / f"{NAME}.spec"))
    (made,) = (top / "made").rglob("*.rpm")
    return Path(shutil.copy(made, into))


def _completion(shell: str) -> bytes:
    """Have the frozen program write its completion for a shell."""
    environment = {"PATH": os.defpath, "_MESOS_CNI_COMPLETE": f"{shell}_source"}
    program = ROOT / "dist" / "bin" / "mesos-cni"
    return subprocess.run([program], env=environment, check=True, capture_output=True).stdout


def _run(*argv: str) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": EPOCH, "LC_ALL": "C"}
    subprocess.run(argv, env=environment, check=True, stdout=subprocess.DEVNULL)


def _output(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    main()
