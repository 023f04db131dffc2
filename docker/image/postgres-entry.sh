#!/bin/sh
# PostgreSQL in a container, by the variables of the official image: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD_FILE,
# PGDATA. The cluster is made on the first start; later ones only start it.
set -eu
umask 077

if [ "${1:-}" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
  [ -r "${POSTGRES_PASSWORD_FILE:-}" ] || {
    echo "POSTGRES_PASSWORD_FILE names no file that can be read: put the database's password into one." >&2
    exit 1
  }
  # Made beside its place and moved, PG_VERSION last: a start that is cut off half-way leaves nothing that looks like a
  # cluster. The mark says that whatever lies here is of such a start, and may go; without it, it is somebody's data.
  fresh="$PGDATA/.fresh"
  mark="$PGDATA/.first-start"
  if [ -e "$mark" ]; then
    find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found ! -name .first-start -exec rm -rf {} +
  else
    rm -rf "$fresh"
    [ -z "$(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found)" ] || {
      echo "$PGDATA holds files but no PG_VERSION, so no cluster that can be started, and none is made over them." >&2
      echo "Restore PG_VERSION if a cluster lost it; else empty the volume, and restore a backup." >&2
      exit 1
    }
  fi
  initdb --pgdata "$fresh" --username "$POSTGRES_USER" --pwfile "$POSTGRES_PASSWORD_FILE" \
    --auth-local trust --auth-host scram-sha-256 --encoding UTF8 --locale C.UTF-8 >/dev/null
  echo 'host all all all scram-sha-256' >>"$fresh/pg_hba.conf"
  if [ "$POSTGRES_DB" != postgres ]; then
    echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -j -D "$fresh" postgres >/dev/null
  fi
  : >"$mark"
  mv "$fresh/PG_VERSION" "$PGDATA/.version"
  find "$fresh" -mindepth 1 -maxdepth 1 -exec mv -t "$PGDATA" {} +
  rmdir "$fresh"
  sync
  mv "$PGDATA/.version" "$PGDATA/PG_VERSION"
fi
if [ "${1:-}" = postgres ]; then
  rm -f "$PGDATA/.first-start" # also that of a start cut off just here
fi
exec "$@"
