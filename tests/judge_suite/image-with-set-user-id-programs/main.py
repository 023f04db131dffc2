import subprocess

from probe import attempt, finish


def rises(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=20).stdout.strip() == "0"


attempt("an interpreter", rises, "/opt/app/python-root", "-c", "import os; print(os.geteuid())")
attempt("a shell", rises, "/bin/bash", "-p", "-c", "id -u")
finish()
