#!/usr/bin/env bash
# All tests. Starts a Docker engine where none answers, builds the images, and runs pytest once, so that
# its closing line counts everything. What must not be skipped fails: REQUIRE_DOCKER, REQUIRE_BROWSER,
# REQUIRE_SLURM, REQUIRE_MLSERVER.
set -euo pipefail
cd "$(dirname "$0")/.."
py=.venv/bin/python
engine=

say() { printf '%s\n' "$*" >&2; }

answers() { docker version >/dev/null 2>&1; }

stop_engine() {
  [ -n "$engine" ] || return 0
  kill "$engine" 2>/dev/null || return 0
  wait "$engine" 2>/dev/null || true
}

start_engine() {
  local waited
  command -v dockerd >/dev/null 2>&1 || { say "No dockerd on PATH: the tests that need a Docker engine will say so."; return 0; }
  [ "$(id -u)" = 0 ] || { say "No Docker engine answers and only root can start one: the tests that need it will say so."; return 0; }
  say "No Docker engine answers: starting one (log: var/log/dockerd.log)"
  # A pid file that a killed engine left makes the next one refuse.
  [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null && rm -f /var/run/docker.pid
  mkdir -p var/log
  dockerd --config-file docker/daemon.json >>var/log/dockerd.log 2>&1 &
  engine=$!
  trap stop_engine EXIT
  for waited in $(seq 60); do
    answers && return 0
    kill -0 "$engine" 2>/dev/null || break
    sleep 1
  done
  tail -n 20 var/log/dockerd.log >&2
  say "The Docker engine did not come up (waited ${waited} s); its last lines are above."
  return 0
}

if ! command -v docker >/dev/null 2>&1 || ! answers; then
  start_engine
fi
if command -v docker >/dev/null 2>&1 && answers; then
  make image-base
  export REQUIRE_DOCKER=1
fi
# As root on Debian nothing may be missing: skipping would hide it.
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export REQUIRE_DOCKER=1 REQUIRE_BROWSER=1 REQUIRE_SLURM=1 REQUIRE_MLSERVER=1
fi

# Three workers on two cores: tests of servers and sandboxes mostly wait. What shares one of these stays on one worker
# (tests/conftest.py).
set +e
"$py" -m pytest -n 3 --dist loadgroup --durations=25 "$@"
status=$?
exit $status
