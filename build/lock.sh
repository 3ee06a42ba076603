#!/bin/bash
# Resolve what pyproject.toml asks for into requirements.lock: exact versions, with their hashes.
#
# The resolver lives in a scratch environment, because only this script needs it. The file says neither
# which index was asked nor where: whoever installs from it brings their own.

set -euo pipefail
cd "$(dirname "$0")/.."

resolver=.build/lock

requirements() {
    .venv/bin/python - <<'PYTHON'
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)
for group in (project["project"]["dependencies"], *project["dependency-groups"].values()):
    print(*group, sep="\n")
PYTHON
}

if [ ! -x "$resolver/bin/pip-compile" ]; then
    .venv/bin/python -m venv "$resolver"
    "$resolver/bin/python" -m pip install --quiet --quiet pip-tools
fi

# --allow-unsafe: PyInstaller needs setuptools, and an installation that checks hashes wants them all.
requirements | CUSTOM_COMPILE_COMMAND="make lock" "$resolver/bin/pip-compile" - \
    --output-file requirements.lock --upgrade --generate-hashes --allow-unsafe --strip-extras \
    --no-annotate --no-emit-find-links --no-emit-index-url --no-emit-options \
    --no-emit-trusted-host --quiet
