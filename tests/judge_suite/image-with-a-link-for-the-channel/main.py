import os

from probe import attempt, can_read, finish

CHANNEL = os.path.dirname(os.environ["TOUCHSTONE_SOCKET"])

attempt("the host's disk", can_read, CHANNEL + "/vda")
attempt("the host's memory", can_read, CHANNEL + "/mem")
attempt("accounts of the host", can_read, CHANNEL + "/../etc/shadow")
attempt("the daemon's files", os.listdir, CHANNEL + "/../var/lib/docker")
attempt("writing there", lambda: os.mkdir(CHANNEL + "/mine") or True)
finish()
