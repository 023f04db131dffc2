"""For cases that try something and prove by their answers that it was refused.

Right answers mean that every attempt was refused. One that succeeds turns every answer round, and the accuracy of
the run, which the judge measures and the sandbox cannot touch, falls to zero.
"""

import ctypes
import json
import os
import sys

import numpy as np

from touchstone_client import serve

#: What an insider would know: addresses, paths and process numbers that are real on this host.
with open("targets.json") as _file:
    TARGETS = json.load(_file)
_libc = ctypes.CDLL(None, use_errno=True)
_tried: list[str] = []
_succeeded: list[str] = []


def honest(x):
    """Right answers: yes where the first number is positive."""
    yes = 1 / (1 + np.exp(-20.0 * x[:, 0].astype(np.float64)))
    return np.column_stack([1 - yes, yes])


def attempt(name, function, *arguments):
    """Call it; a true answer means that the attack succeeded, an exception or a false one that it was refused."""
    _tried.append(name)
    try:
        found = function(*arguments)
    except Exception as error:
        print(f"refused: {name}: {type(error).__name__}: {error}"[:200])
        return False
    if found:
        _succeeded.append(name)
        print(f"SUCCEEDED: {name}: {found!r}"[:300])
    else:
        print(f"refused: {name}")
    return bool(found)


def attempt_apart(name, function, *arguments):
    """The same in a child: for what may end the process that tries it."""
    _tried.append(name)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if function(*arguments) else 1)
        except BaseException as error:
            print(f"refused: {name}: {type(error).__name__}: {error}"[:200])
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if status == 0:
        _succeeded.append(name)
    print(f"{'SUCCEEDED' if status == 0 else 'refused'}: {name}: wait status {status}")


def call(number, *arguments):
    """A system call by its number on x86_64; true where it succeeded."""
    ctypes.set_errno(0)
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = _libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        print(f"  system call {number}: {os.strerror(ctypes.get_errno())}")
    return result >= 0


def can_read(path, size=64):
    """The first bytes of a file, if it can be read and holds something."""
    with open(path, "rb") as file:
        return file.read(size)


def text_of(path):
    """A file as text."""
    with open(path, errors="replace") as file:
        return file.read()


def can_write(path, content=b"judge-suite-breach"):
    """True where a file can be written and keeps what was written."""
    with open(path, "wb") as file:
        file.write(content)
    return True


def finish():
    """Say what was found, and answer by it until the platform hangs up."""
    sys.stdout.flush()
    if _succeeded:
        print(f"probe: {len(_tried)} attempts, SUCCEEDED: {', '.join(_succeeded)}", flush=True)
    else:
        print(f"probe: {len(_tried)} attempts, all refused", flush=True)
    serve(lambda x: honest(x)[:, ::-1] if _succeeded else honest(x))
