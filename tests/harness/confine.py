"""Takes permissions away from a process before it becomes GDB (GdbSession's `confine`)."""

from __future__ import annotations

import ctypes
import os
import struct

NOBODY = 65534

_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_PROCESS_VM_READV = 310  # x86-64
_BPF_LOAD, _BPF_IF_EQUAL, _BPF_RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO, _EPERM = 0x7FFF0000, 0x00050000, 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


# Made here: between fork and exec there is no time for it.
_FILTER = ctypes.create_string_buffer(
    b"".join(
        struct.pack("HBBI", *row)
        for row in (
            (_BPF_LOAD, 0, 0, 0),  # the number of the system call
            (_BPF_IF_EQUAL, 0, 1, _PROCESS_VM_READV),
            (_BPF_RETURN, 0, 0, _ERRNO | _EPERM),
            (_BPF_RETURN, 0, 0, _ALLOW),
        )
    )
)
_PROGRAM = _Program(4, ctypes.addressof(_FILTER))


def forbid_process_reads() -> None:
    """process_vm_readv fails as it does where Yama's ptrace_scope is 1; /proc stays readable."""
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or _libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(_PROGRAM)
    ):
        os._exit(1)
