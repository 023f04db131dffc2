import os

from probe import attempt, call, finish


def by_number(inode):
    handle = (8).to_bytes(4, "little") + (1).to_bytes(4, "little") + inode.to_bytes(8, "little")
    return any(call(304, os.open(place, os.O_RDONLY), handle, 0) for place in ("/", "/submission", "/run/touchstone"))


attempt("the root's inode", by_number, 2)
attempt("name_to_handle_at on the submission's parent", call, 303, -100, b"/submission/..", bytes(136), bytes(8), 0x400)
attempt("fanotify", call, 300, 0, 0)
finish()
