from probe import attempt, call, finish

ATTRIBUTE = b"\1\0\0\0\x70\0\0\0" + bytes(104)
attempt("its own", call, 298, ATTRIBUTE, 0, -1, -1, 0)
attempt("everybody's", call, 298, ATTRIBUTE, -1, 0, -1, 0)
finish()
