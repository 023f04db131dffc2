import glob
import os

from probe import attempt, finish

WORDS = (
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "CREDENTIAL",
    "DATABASE",
    "BROKER",
    "REDIS",
    "POSTGRES",
    "AWS_",
    "TOUCHSTONE_NODE",
)


def suspicious(text):
    return [part for part in text.replace("\0", "\n").splitlines() if any(word in part.upper() for word in WORDS)]


def everywhere(what):
    found = []
    for path in glob.glob(f"/proc/[0-9]*/{what}"):
        try:
            with open(path, errors="replace") as file:
                found += suspicious(file.read())
        except OSError:
            continue
    return found


attempt("its own environment", lambda: suspicious("\n".join(f"{k}={v}" for k, v in os.environ.items())))
attempt("environments of others", everywhere, "environ")
attempt("command lines", everywhere, "cmdline")
finish()
