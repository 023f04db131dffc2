from probe import attempt, call, finish

MS_REMOUNT, MS_BIND = 32, 4096
attempt("tmpfs", call, 165, b"none", b"/tmp", b"tmpfs", 0, 0)
attempt("proc", call, 165, b"proc", b"/tmp", b"proc", 0, 0)
attempt("the host's disk", call, 165, b"/dev/vda", b"/tmp", b"ext4", 1, 0)
attempt("bind", call, 165, b"/", b"/tmp", b"none", MS_BIND, 0)
attempt("remount the root writable", call, 165, b"none", b"/", b"none", MS_REMOUNT, 0)
attempt("remount the submission writable", call, 165, b"none", b"/submission", b"none", MS_REMOUNT | MS_BIND, 0)
attempt("unmount what hides", call, 166, b"/proc/kcore", 2)
attempt("unmount the channel", call, 166, b"/run/touchstone", 2)
attempt("open_tree", call, 428, -100, b"/", 1)
attempt("move_mount", call, 429, -100, b"/tmp", -100, b"/dev", 0)
attempt("fsopen", call, 430, b"tmpfs", 0)
attempt("mount_setattr", call, 442, -100, b"/", 0, b"\0" * 32, 32)
attempt("pivot_root", call, 155, b"/tmp", b"/tmp")
attempt("chroot", call, 161, b"/tmp")
attempt("swapon", call, 167, b"/tmp/x", 0)
finish()
