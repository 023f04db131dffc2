import ctypes
import mmap

from probe import attempt_apart, call, finish

X32 = 0x40000000


def by_interrupt(number, first=0, second=0):
    # push rbx; mov eax, number; mov ebx, first; mov ecx, second; xor edx, edx; int 0x80; pop rbx; ret
    code = b"\x53\xb8" + number.to_bytes(4, "little") + b"\xbb" + first.to_bytes(4, "little")
    code += b"\xb9" + second.to_bytes(4, "little") + b"\x31\xd2\xcd\x80\x5b\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_int)(address)() >= 0


attempt_apart("keyctl, 32 bits", by_interrupt, 288, 0, 0xFFFFFFFC)
attempt_apart("unshare, 32 bits", by_interrupt, 310, 0x10000000)
attempt_apart("userfaultfd, 32 bits", by_interrupt, 374)
attempt_apart("perf_event_open, 32 bits", by_interrupt, 336)
attempt_apart("unshare, x32", call, X32 | 272, 0x10000000)
attempt_apart("keyctl, x32", call, X32 | 250, 0, -4, 0)
attempt_apart("ptrace, x32", call, X32 | 521, 16, 1, 0, 0)
finish()
