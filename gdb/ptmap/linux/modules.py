"""The modules that a kernel has loaded, and where their sections are. Needs a vmlinux with debug
information."""

from __future__ import annotations

from typing import Iterator, NamedTuple

from ..base.errors import Refusal
from ..base.text import printable
from ..spaces.virtual_memory import Unreadable
from .kernel import Kernel
from .structures import NO_TYPES, Structures
from .tasks import linked

_UNFORMED = 3  # MODULE_STATE_UNFORMED, include/linux/module.h: it is only being loaded
_MAX_SECTIONS = 1024
_LONGEST_NAME = 256  # bytes of a section's name


class Module(NamedTuple):
    name: str  # printable; Linux has "_" where its file may have "-"
    sections: dict[bytes, int]  # the addresses that they were loaded to; .init's are freed


def modules(kernel: Kernel) -> Iterator[Module]:
    """In the order of the list. Error: Refusal if it is damaged."""
    structures = Structures(kernel)
    head = kernel.symbol("modules")
    if head is None:
        raise Refusal(f"the symbols loaded have no list of modules: {NO_TYPES}")
    for address in linked(structures, head, "module.list", "the list of modules"):
        try:
            name, state = structures.record(address, "module.name", "module.state")
            if int.from_bytes(state, "little") != _UNFORMED:
                sections = dict(_sections(kernel, structures, address))
                yield Module(printable(name.split(b"\0")[0]), sections)
        except Unreadable as error:
            raise Refusal(f"the list of modules is damaged: {error}") from None


def _sections(kernel: Kernel, structures: Structures, module: int) -> Iterator[tuple[bytes, int]]:
    """As /sys/module/NAME/sections has them (kernel/module/sysfs.c); none without CONFIG_SYSFS and
    CONFIG_KALLSYMS. Error: Unreadable, Refusal."""
    if not structures.has("module.sect_attrs"):
        return
    attributes = structures.read(module, "module.sect_attrs")
    if not attributes:
        return
    if structures.has("module_sect_attrs.nsections"):  # until Linux 6.13
        count = structures.read(attributes, "module_sect_attrs.nsections")
        size = kernel.symbols.size_of_type("struct module_sect_attr") or 0
        first = structures.at(attributes, "module_sect_attrs.attrs")
        entries = [first + size * n for n in range(min(count, _MAX_SECTIONS + 1))]
        address, name = "module_sect_attr.address", "module_sect_attr.battr.attr.name"
        if not structures.has(name):  # until Linux 5.7
            name = "module_sect_attr.name"
    else:
        entries = _pointers(structures, attributes)
        address, name = "bin_attribute.private", "bin_attribute.attr.name"
    if len(entries) > _MAX_SECTIONS:
        raise Refusal(f"the module at {module:#x} is damaged: it has too many sections")
    for entry in entries:
        text = structures.string(structures.read(entry, name), _LONGEST_NAME)
        yield text, structures.read(entry, address)


def _pointers(structures: Structures, attributes: int) -> list[int]:
    """To each bin_attribute; 0 ends them. At most one more than _MAX_SECTIONS."""
    at = structures.read(attributes, "module_sect_attrs.grp.bin_attrs")
    found: list[int] = []
    while len(found) <= _MAX_SECTIONS:
        pointer = structures.number(at + structures.pointer * len(found), structures.pointer)
        if pointer == 0:
            break
        found.append(pointer)
    return found
