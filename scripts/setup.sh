#!/usr/bin/env bash
# The virtual environment .venv with the pinned requirements. `setup.sh runtime` for demo and run,
# `setup.sh dev` for test, check and bench. Does nothing where the stamp matches the requirements.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-runtime}
venv=.venv

say() { printf '%s\n' "$*" >&2; }

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }

stamp_is() { [ -f "$venv/.touchstone-$1" ] && [ "$(cat "$venv/.touchstone-$1")" = "$2" ]; }

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3; do
    if command -v "$candidate" >/dev/null 2>&1 && new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  say "Touchstone needs Python 3.11 or newer, and none was found on PATH."
  say "On Debian 12: apt-get install python3 python3-venv. Elsewhere: set PYTHON=/path/to/python3.11 and run make again."
  exit 1
}

make_venv() {
  local python
  if [ -d "$venv" ] && ! { "$venv/bin/python" -m pip --version >/dev/null 2>&1 && new_enough "$venv/bin/python"; }; then
    say "Setting up: $venv is broken (its Python is gone, too old, or has no pip); making it anew."
    rm -rf "$venv"
  fi
  [ -d "$venv" ] && return
  python=$(find_python)
  say "Setting up: virtual environment with $("$python" --version) ($python)"
  if ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    say "That Python cannot make virtual environments."
    say "On Debian and Ubuntu they are a package of their own: apt-get install python3-venv. Then run make again."
    exit 1
  fi
}

install() { "$venv/bin/python" -m pip install --disable-pip-version-check --no-input --quiet --no-compile "$@"; }

# On all cores, where pip has one. Some packages bring files of other Pythons that do not compile: never mind.
compile() { "$venv/bin/python" -m compileall -q -j 0 "$venv"/lib/python3*/site-packages >/dev/null 2>&1 || true; }

failed() {
  say "Setting up failed: pip's message is above. With the network back, run the same command again; it goes on where it stopped."
  exit 1
}

runtime() {
  local want
  want=$(digest requirements.txt constraints.txt pyproject.toml client/pyproject.toml)
  stamp_is runtime "$want" && return
  make_venv
  # torch first and alone: its version decides the rest, and a wheel for this machine (a CPU build, say)
  # may come from elsewhere (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL).
  say "Setting up: torch (the largest part)"
  install "$(grep -E '^torch==' requirements.txt)" -c constraints.txt || failed
  say "Setting up: requirements"
  install -r requirements.txt -c constraints.txt || failed
  install --no-deps -e . -e client || failed
  compile
  printf '%s\n' "$want" >"$venv/.touchstone-runtime"
}

dev() {
  local want
  want=$(digest requirements-dev.txt constraints.txt)
  stamp_is dev "$want" && return
  say "Setting up: what tests, checks and benchmarks need"
  install -r requirements-dev.txt -c constraints.txt || failed
  compile
  printf '%s\n' "$want" >"$venv/.touchstone-dev"
}

# Two makes at once must not write into one environment.
mkdir -p var
if command -v flock >/dev/null 2>&1; then
  exec 9>var/setup.lock
  flock 9
fi
runtime
[ "$level" = dev ] && dev
exit 0
