"""The names of a process's mappings, as in /proc/PID/maps. Needs a vmlinux with types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from ..base.interval import Interval
from ..base.text import printable
from ..spaces.labels import Label, Part
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .structures import NoType, Structures

_PARTS = {"[stack]": Part.STACK, "[heap]": Part.HEAP, "[vdso]": Part.VDSO}  # Linux's names

_PAGE = 1 << 12

# vm_flags, include/linux/mm.h
VM_READ, VM_WRITE, VM_EXEC, VM_MAYSHARE, VM_GROWSDOWN = 0x1, 0x2, 0x4, 0x80, 0x100

_MAX_VMAS = 1 << 16
_MAX_DEPTH = 16  # levels of a maple tree; 4 hold more than _MAX_VMAS
_MAX_PARTS = 256  # folders in a path

# enum maple_type, include/linux/maple_tree.h: which structure a node is.
_MAPLE_NODES = {1: "maple_range_64", 2: "maple_range_64", 3: "maple_arange_64"}
_MAPLE_LEAF = 1
_MAPLE_NODE_MASK = 0xFF  # nodes are 256-byte aligned; the bits below hold the type
_MAPLE_TYPE_SHIFT, _MAPLE_TYPE_MASK = 3, 0xF
_XA_INTERNAL, _XA_INTERNAL_MASK = 2, 3  # xa_is_node(), include/linux/xarray.h
_XA_SMALLEST_NODE = 4096


def labels(kernel: Kernel, mm_address: int) -> list[Label]:
    """By rising address. A mapping without a name in /proc/PID/maps has no label.

    If types are missing or memory is damaged, the list has what was read until then.
    """
    found: list[Label] = []
    try:
        vmas = _Vmas(kernel, mm_address)
        for vma in vmas:
            part = vmas.interval(vma)
            name = vmas.name(vma)
            if name and part.size > 0:
                found.append(
                    Label(part.first, part.end, name, "read", _PARTS.get(name, Part.OTHER))
                )
    except (NoType, Unreadable):
        pass
    return sorted(found, key=lambda label: label.start)


@dataclass(frozen=True)
class Vma:
    """A mapping of a process, as a line of /proc/PID/maps has it."""

    start: int
    end: int  # exclusive
    flags: int  # vm_flags
    name: str  # "" if it has none
    is_file: bool
    offset: int  # of `start` in the file

    @property
    def rights(self) -> str:
        """For example "rw-p"."""
        letters = (
            letter if self.flags & bit else "-"
            for bit, letter in ((VM_READ, "r"), (VM_WRITE, "w"), (VM_EXEC, "x"))
        )
        return "".join(letters) + ("s" if self.flags & VM_MAYSHARE else "p")


@dataclass(frozen=True)
class Around:
    """The mappings around an address."""

    covering: Vma | None
    above: Vma | None  # the next one, if none covers it
    below: Vma | None  # the one before `above`; only if that grows down


def around(kernel: Kernel, mm_address: int, va: int) -> Around | None:
    """None if the mm_struct is damaged, so that its mappings are not known. Error: NoType,
    Unreadable."""
    vmas = _Vmas(kernel, mm_address)
    found = next(
        (vma for address in vmas.ending_above(va) if va < (vma := vmas.vma(address)).end), None
    )
    if found is None and next(iter(_Vmas(kernel, mm_address)), None) is None:
        return None  # every process has mappings
    if vmas.is_damaged or found is not None and found.start >= found.end:
        return None
    if found is None or found.start <= va:
        return Around(found, None, None)
    if not found.flags & VM_GROWSDOWN:
        return Around(None, found, None)
    lower = [vmas.vma(address) for address in _Vmas(kernel, mm_address)]
    below = max((vma for vma in lower if vma.end <= va), key=lambda vma: vma.end, default=None)
    return Around(None, found, below)


class _Vmas:
    """The vm_area_structs of an mm_struct, by address."""

    def __init__(self, kernel: Kernel, mm: int) -> None:
        self._kernel, self._mm = kernel, mm
        self._structures = Structures(kernel)
        self._paths: dict[int, str] = {}  # of struct file
        self._nodes: set[int] = set()  # nodes of the maple tree that were seen, to notice loops
        self._first = 0  # mappings that end below it are left out, if that saves reads
        self.is_damaged = False  # there may be others than were found

    def ending_above(self, va: int) -> Iterator[int]:
        """The mapping that covers an address, or the next one above, and those that follow. It may
        begin with some below."""
        self._first = va
        return iter(self)

    def vma(self, address: int) -> Vma:
        part = self.interval(address)
        return Vma(
            part.first,
            part.end,
            flags=self._of(address, "vm_flags"),
            name=self.name(address),
            is_file=bool(self._of(address, "vm_file")),
            offset=self._of(address, "vm_pgoff") * _PAGE,
        )

    def __iter__(self) -> Iterator[int]:
        """Each once, at most _MAX_VMAS."""
        walk = self._tree if self._structures.has("mm_struct.mm_mt") else self._list
        seen: set[int] = set()
        for vma in walk():
            if vma in seen or len(seen) >= _MAX_VMAS:
                self.is_damaged = True
                return
            seen.add(vma)
            yield vma

    def interval(self, vma: int) -> Interval:
        return Interval.until(self._of(vma, "vm_start"), self._of(vma, "vm_end"))

    def _of(self, vma: int, field: str) -> int:
        return self._structures.read(vma, f"vm_area_struct.{field}")

    # Finding them

    def _list(self) -> Iterator[int]:
        """Before Linux 6.1: mm->mmap, linked by vm_next."""
        vma = self._structures.read(self._mm, "mm_struct.mmap")
        while vma:
            yield vma
            vma = self._of(vma, "vm_next")

    def _tree(self) -> Iterator[int]:
        """Since Linux 6.1: the maple tree mm->mm_mt (lib/maple_tree.c)."""
        root = self._structures.read(self._mm, "mm_struct.mm_mt.ma_root")
        # A root that is not a node is the single entry for index 0, where no mapping is.
        if root & _XA_INTERNAL_MASK == _XA_INTERNAL and root > _XA_SMALLEST_NODE:
            last = (1 << 8 * self._structures.pointer) - 1
            yield from self._below(root, last, _MAX_DEPTH)

    def _below(self, node: int, last: int, depth: int) -> Iterator[int]:
        """The VMAs below an encoded node; LAST is the last index that the node covers."""
        kind = node >> _MAPLE_TYPE_SHIFT & _MAPLE_TYPE_MASK
        if kind not in _MAPLE_NODES or depth == 0 or node in self._nodes:
            self.is_damaged = True
            return
        self._nodes.add(node)
        for slot, pivot in self._slots(node & ~_MAPLE_NODE_MASK, _MAPLE_NODES[kind], last):
            if pivot < self._first:
                continue
            if kind == _MAPLE_LEAF:
                # An internal entry (XA_ZERO_ENTRY) only reserves its range.
                if slot and slot & _XA_INTERNAL_MASK != _XA_INTERNAL:
                    yield slot
            elif slot:
                yield from self._below(slot, pivot, depth - 1)

    def _slots(self, node: int, structure: str, last: int) -> Iterator[tuple[int, int]]:
        """A node's used slots, each with the last index that it covers.

        A pivot of 0, except the first, ends the node: its slot covers the rest, as in
        mas_logical_pivot(). The last slot has no pivot; a shorter node keeps metadata there.
        """
        size = self._structures.pointer
        slots = self._words(node, f"{structure}.slot")
        pivots = self._words(node, f"{structure}.pivot")
        for position, slot in enumerate(slots):
            pivot = pivots[position] if position < len(pivots) else last
            if pivot == 0 and position:
                pivot = last
            yield slot, pivot & (1 << 8 * size) - 1
            if pivot >= last:
                return

    def _words(self, node: int, field: str) -> list[int]:
        """An array of pointers or longs."""
        size = self._structures.pointer
        raw = self._structures.content(
            self._structures.at(node, field), self._structures.member(field).size
        )
        return [int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size)]

    # Their names: show_map_vma() in fs/proc/task_mmu.c

    def name(self, vma: int) -> str:
        file = self._of(vma, "vm_file")
        if file:
            if file not in self._paths:
                self._paths[file] = self._path(file)
            return self._paths[file]
        operations = self._of(vma, "vm_ops")
        if operations and operations == self._kernel.symbol("special_mapping_vmops"):
            special = self._of(vma, "vm_private_data")
            text = self._structures.read(special, "vm_special_mapping.name")
            return printable(self._structures.string(text, 64)) if text else ""
        return self._name_by_place(self.interval(vma))

    def _name_by_place(self, part: Interval) -> str:
        read = self._structures.read
        if part.first <= read(self._mm, "mm_struct.brk") and part.end >= read(
            self._mm, "mm_struct.start_brk"
        ):
            return "[heap]"
        if part.first <= read(self._mm, "mm_struct.start_stack") <= part.end:
            return "[stack]"
        return ""

    def _path(self, file: int) -> str:
        """The file's full path, or the part of it that could be read."""
        dentry = self._structures.read(file, "file.f_path.dentry")
        parts: list[str] = []
        try:
            return self._walk(dentry, self._structures.read(file, "file.f_path.mnt"), parts)
        except (NoType, Unreadable):
            return "/".join(reversed(parts)) or self._dentry_name(dentry)

    def _walk(self, dentry: int, vfsmount: int, parts: list[str]) -> str:
        """The path from a dentry up to the root of all mounts, as prepend_path() in fs/d_path.c."""
        read = self._structures.read
        deleted = self._is_deleted(dentry)
        mount = self._structures.container(vfsmount, "mount.mnt")
        for _ in range(_MAX_PARTS):
            if dentry == read(self._structures.at(mount, "mount.mnt"), "vfsmount.mnt_root"):
                above = read(mount, "mount.mnt_parent")
                if above == mount:
                    return "/" + "/".join(reversed(parts)) + " (deleted)" * deleted
                dentry, mount = read(mount, "mount.mnt_mountpoint"), above
                continue
            parent = read(dentry, "dentry.d_parent")
            parts.append(self._dentry_name(dentry))
            if parent == dentry:
                return _pseudo_name(parts[-1])
            dentry = parent
        return ".../" + "/".join(reversed(parts))

    def _dentry_name(self, dentry: int) -> str:
        text = self._structures.read(dentry, "dentry.d_name.name")
        return printable(self._structures.string(text, 256))

    def _is_deleted(self, dentry: int) -> bool:
        """As d_unlinked(), include/linux/dcache.h: not hashed, and not a root."""
        read = self._structures.read
        return not read(dentry, "dentry.d_hash.pprev") and read(dentry, "dentry.d_parent") != dentry


def _pseudo_name(name: str) -> str:
    """The name of a file in no directory: simple_dname() in fs/d_path.c, anon_inodefs_dname() in
    fs/anon_inodes.c."""
    return f"anon_inode:{name}" if name.startswith("[") else f"/{name} (deleted)"
