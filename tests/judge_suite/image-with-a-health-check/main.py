import os
import time

from probe import attempt, finish

time.sleep(2.5)
attempt("a command by the daemon", os.path.exists, "/tmp/judge-suite-breach")
finish()
