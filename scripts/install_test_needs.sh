#!/usr/bin/env bash
# What `make test` needs beside Python packages: a Docker engine with gVisor and Compose, a registry,
# debootstrap (base image), Slurm, Redis, Chromium, Pango and python3-venv. As root on Debian or Ubuntu it installs what is missing; elsewhere it
# says what is missing and goes on: the tests that need it then say so.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }

missing=()
need() { # command, package
  command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

need docker docker.io
need debootstrap debootstrap
need redis-server redis-server
need runsc runsc
need docker-compose docker-compose
need docker-registry docker-registry
need slurmctld slurm-wlm
need munged munge
need ip iproute2
need gcc gcc
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
command -v chromium >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing+=(chromium)
[ -n "$(ldconfig -p 2>/dev/null | grep -F libpangoft2-1.0)" ] || missing+=(libpango-1.0-0 libpangoft2-1.0-0) # reports as PDF
[ -d .venv ] || python3 -c 'import ensurepip' >/dev/null 2>&1 || missing+=(python3-venv)

[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null 2>&1 || [ "$(id -u)" != 0 ]; then
  say "Missing for the whole test run: ${missing[*]} (names of Debian packages)."
  say "As root on Debian, \`make test\` installs them; here, install them yourself. Going on without."
  exit 0
fi

say "Installing with apt-get: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  say "apt-get could not install ${missing[*]}; its last lines are above. Mend that, or install them yourself, then run make test again."
  exit 1
fi
