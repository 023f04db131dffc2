from probe import attempt, call, finish

attempt("userfaultfd", call, 323, 0)
attempt("for user mode only", call, 323, 1)
attempt("non-blocking", call, 323, 0o4000)
finish()
