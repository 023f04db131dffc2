from probe import attempt, call, finish

attempt("its session's ring", call, 250, 0, -3, 1)
attempt("the user's ring", call, 250, 0, -4, 0)
attempt("read a ring", call, 250, 11, -4, b"\0" * 64, 64)
attempt("add a key", call, 248, b"user", b"judge-suite", b"x", 1, -3)
attempt("request a key", call, 249, b"user", b"judge-suite", b"", 0)
attempt("join a session", call, 250, 1, b"judge-suite")
finish()
