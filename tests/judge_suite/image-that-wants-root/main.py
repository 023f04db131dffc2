import os

from probe import attempt, can_write, finish

attempt("root", lambda: os.geteuid() == 0 or 0 in os.getgroups() or os.getegid() == 0)
attempt("its own socket", lambda: os.environ["TOUCHSTONE_SOCKET"] == "/tmp/mine.sock")
attempt("writing its own files", can_write, "/opt/app/breach")
finish()
