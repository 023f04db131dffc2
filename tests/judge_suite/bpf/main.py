from probe import attempt, call, finish

attempt("a map", call, 321, 0, b"\1\0\0\0\4\0\0\0\4\0\0\0\1\0\0\0" + bytes(56), 72)
attempt("a program", call, 321, 5, b"\1\0\0\0\2\0\0\0" + bytes(112), 120)
attempt("the ids of programs", call, 321, 11, bytes(72), 72)
attempt("an object of the file system", call, 321, 7, bytes(72), 72)
finish()
