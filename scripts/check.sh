#!/usr/bin/env bash
# Everything that can be said about the code without running it. Each step runs, and the last line says
# which failed. `check.sh --write` rewrites the generated files instead.
set -uo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin
export PYTHONPATH=platform:.:client
failed=()

step() { # name, command...
  local name=$1
  shift
  printf '== %s\n' "$name"
  "$@" || failed+=("$name")
}

if [ "${1:-}" = --write ]; then
  exec "$bin/python" -m scripts.generated --write
fi

step "ruff check" "$bin/ruff" check .
step "ruff format" "$bin/ruff" format --check .
step "types" "$bin/mypy" runners client/touchstone_client
step "import contracts" "$bin/lint-imports" --no-cache
step "generated files and migrations" "$bin/python" -m scripts.generated
step "architecture" "$bin/python" -m pytest -q tests/architecture

if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${failed[*]}"
  exit 1
fi
echo "All checks passed."
