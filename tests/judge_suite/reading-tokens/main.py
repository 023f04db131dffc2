import os

from probe import TARGETS, attempt, can_read, finish

PLACES = (
    ".docker/config.json",
    ".aws/credentials",
    ".config/gcloud/credentials.db",
    ".kube/config",
    ".ssh/id_rsa",
    ".netrc",
    ".pypirc",
    ".git-credentials",
    ".config/touchstone/config.toml",
    ".pgpass",
)
attempt("the node's token", can_read, TARGETS["token"])
for home in ("/" + "root", os.path.expanduser("~"), "/home", "/var/lib/touchstone"):
    for place in PLACES:
        attempt(f"{home}/{place}", can_read, f"{home}/{place}")
for path in (
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "/run/secrets/node-token",
    "/etc/touchstone/token",
    "/etc/munge/munge.key",
    "/etc/docker/key.json",
):
    attempt(path, can_read, path)
finish()
