#!/usr/bin/env bash
# Prepares the checkout: the Python environment, and the OpenCode that the tests run.
#
#   tools/setup.sh python             .venv with the package (editable) and its tools
#   tools/setup.sh opencode           the pinned OpenCode, in tools/opencode/node_modules
#   tools/setup.sh opencode VERSION   another one, in tools/opencode/versions/VERSION
#   tools/setup.sh next               the pinned preview of OpenCode 2, in tools/opencode/next
#
# The Makefile decides when each is due; what is due may need the network.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "setup: $*" >&2
    exit 1
}

# Prints the first Python that is new enough; PYTHON overrides the choice.
find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 or newer was found; install one, or name it with PYTHON=/path/to/python3."
}

check_node() {
    command -v node >/dev/null || fail "Node was not found; install Node 18 or newer."
    node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' ||
        fail "Node $(node --version) is too old; install Node 18 or newer."
    command -v npm >/dev/null || fail "npm was not found; install npm (it usually comes with Node)."
}

setup_python() {
    local python
    command -v git >/dev/null || fail "git was not found; install it: projects are named by their history."
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv or pip module; install them (Debian and Ubuntu: python3-venv)."
    # Needed later, but better missed now than after the download.
    check_node
    [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1 ||
        "$python" -m venv --clear .venv
    # The build backends come first and are pinned like the rest: with build isolation, pip
    # would fetch whichever is newest, each time. setuptools builds forbiddenfruit
    # (blockbuster's), which has no wheel, and the one in a new environment may be too old.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt hatchling editables setuptools
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --no-build-isolation --editable '.[dev]'
}

setup_opencode() {
    local version=${1:-} folder=tools/opencode
    check_node
    # The binary is in a package for each platform, so no install script is needed.
    if [ -z "$version" ]; then
        (cd "$folder" && npm ci --ignore-scripts --loglevel=error)
    else
        folder=$folder/versions/$version
        mkdir -p "$folder"
        cp tools/opencode/.npmrc "$folder/"
        (cd "$folder" && npm install --ignore-scripts --loglevel=error --no-save \
            --no-package-lock --prefix . "opencode-ai@$version")
    fi
    ls "$folder"/node_modules/opencode-*/bin/opencode >/dev/null 2>&1 ||
        fail "OpenCode has no binary for this platform ($(uname -sm)); set OPENCODE_BIN to one."
}

setup_next() {
    local folder=tools/opencode/next
    # The machine that it is published for; no package for another kind is known.
    if [ "$(uname -sm)" != "Linux x86_64" ]; then
        echo "setup: the preview of OpenCode 2 is known for Linux on x86_64 only, not for" \
            "$(uname -sm): its tests are skipped here." >&2
        mkdir -p "$folder/node_modules"
        return
    fi
    check_node
    (cd "$folder" && npm ci --ignore-scripts --loglevel=error)
    # Maps from its code to its sources, 50 MB that nobody reads here.
    find "$folder/node_modules" -name '*.map' -delete
}

case ${1:-} in
    python) setup_python ;;
    opencode) setup_opencode "${2:-}" ;;
    next) setup_next ;;
    *) fail "say what to set up: python, opencode [VERSION], or next." ;;
esac
