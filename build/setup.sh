#!/bin/bash
# Make a checkout ready to build and test: the Debian packages it uses, and .venv with exactly what
# requirements.lock says. With nothing to do it takes a moment, so every target of the Makefile asks.
#
#   PYTHON=/path/to/python build/setup.sh      build with this interpreter instead

set -euo pipefail
cd "$(dirname "$0")/.."

# python3-dev brings the shared libpython of Debian's own interpreter, libpython3.11 on Debian 12.
packages=(
    python3-venv python3-dev gcc binutils
    iptables nftables iproute2 conntrack strace groff-base containernetworking-plugins
    net-tools rpm systemd
)
# A kernel with every kind of link, for the tests; Debian has it for this architecture.
if [ "$(uname -m)" = x86_64 ]; then
    packages+=(user-mode-linux)
fi

# Clients of the plugin that tests run, each by a program and the package that has it. Another
# vendor's will do, and is not replaced.
clients=(
    podman:podman conmon:conmon crun:crun containerd:containerd runc:runc
    dockerd:docker.io busybox:busybox-static
)

# What PyInstaller needs of an interpreter: its library as a shared object, to put into the bundle.
can_freeze() {
    "$1" -c '
import ensurepip, os, sys, venv
from sysconfig import get_config_var as var

places = var("LIBDIR"), os.path.join(var("LIBDIR"), var("MULTIARCH") or "")
shared = any(os.path.isfile(os.path.join(place, var("INSTSONAME"))) for place in places)
sys.exit(not (shared and ".so" in var("INSTSONAME") and sys.version_info >= (3, 11)))
' 2>/dev/null
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null |
            grep --quiet --line-regexp installed || echo "$package"
    done
    for package in "${clients[@]}"; do
        command -v "${package%:*}" >/dev/null || echo "${package#*:}"
    done
}

# A package's daemon is not wanted, only its programs: an administrator's own policy stays.
without_daemons() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@"
    rm -f "$policy"
    trap - EXIT
}

install_packages() {
    local missing
    if ! command -v dpkg-query >/dev/null; then
        return # Not Debian. Whoever lacks a tool will see its name in the test that misses it.
    fi
    mapfile -t missing < <(missing_packages)
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "setup: missing, please run: sudo apt-get install ${missing[*]}" >&2
        return # The interpreter at hand may do, and tests name what they cannot do without.
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet=2
    without_daemons apt-get install --quiet=2 --yes --no-install-recommends --no-remove \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" >/dev/null
}

# Debian's 3.11 first: of all we measured it starts fastest when frozen.
choose_python() {
    local candidate
    for candidate in ${PYTHON:-/usr/bin/python3.11 /usr/bin/python3 python3.11 python3.12 python3.13 python3}; do
        if can_freeze "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "setup: found no Python >= 3.11 with venv and a shared libpython; PYTHON=... names one" >&2
    return 1
}

install_packages
python=$(choose_python)

stamp=.venv/complete
wanted=$({ echo "$PWD"; "$python" -VV; command -v "$python"; cat requirements.lock; } | sha256sum)
if [ "$wanted" = "$(cat "$stamp" 2>/dev/null)" ]; then
    exit
fi
echo "setup: .venv, with $("$python" --version)"
# From nothing, so that a dependency that is no longer locked is no longer there either.
"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --quiet --no-input --disable-pip-version-check \
    --require-hashes --requirement requirements.lock
echo "$wanted" >"$stamp"
