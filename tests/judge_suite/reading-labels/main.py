import os

from probe import TARGETS, attempt, can_read, finish


def search():
    found = []
    for parent, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if parent != "/" or name not in ("proc", "sys", "usr")]
        found += [
            os.path.join(parent, name) for name in files if name in ("labels.csv", "labels.npy", "attributes.csv")
        ]
    return found


attempt("the labels at their path", can_read, TARGETS["labels"])
attempt("through the judge's root", can_read, f"/proc/{TARGETS['judge_pid']}/root{TARGETS['labels']}")
attempt("through the first process", can_read, f"/proc/1/root{TARGETS['labels']}")
attempt("through its working folder", can_read, f"/proc/1/cwd/../..{TARGETS['labels']}")
attempt("relative to the submission", can_read, "/submission/../split/labels.csv")
attempt("relative to the channel", can_read, "/run/touchstone/../../split/labels.csv")
attempt("anywhere", search)
finish()
