"""What an access would do, and everything else `pte` says of an address, from the SDM alone.

Volume 3A: 4.6.1 (access rights), 4.6.2 (protection keys), 4.7 (page-fault error codes). Supervisor
protection keys (CR4.PKS) and CET are not considered.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Sequence

import compare
import naive
from machine import CR0_WP, CR4_PKE, CR4_SMAP, CR4_SMEP, EFER_LMA, EFER_NXE, Registers

AC = 1 << 18  # in EFLAGS
ERROR_P, ERROR_W, ERROR_U, ERROR_RSVD, ERROR_I, ERROR_PK = 1, 2, 4, 8, 16, 32
LEVEL_OF = {4 << 10: 1, 2 << 20: 2, 4 << 20: 2, 1 << 30: 3}
# The bit that takes each right away, and the value with which it does.
_DENIES = {"user": (naive.US, 0), "write": (naive.RW, 0), "exec": (naive.XD, naive.XD)}


def error_code(
    page: naive.Page | str,
    registers: Registers,
    user: bool,
    access: str,
    *,
    ac: bool = False,
    pkru: int = 0,
) -> int | None:
    """None: the access succeeds. `page` is a page, "not-present" or "reserved-bit"."""
    smep, smap = bool(registers.cr4 & CR4_SMEP), bool(registers.cr4 & CR4_SMAP)
    wp, pae = bool(registers.cr0 & CR0_WP), bool(registers.cr4 & naive.CR4_PAE)
    code = (ERROR_W if access == "write" else 0) | (ERROR_U if user else 0)
    if access == "fetch" and (smep or pae and registers.efer & EFER_NXE):
        code |= ERROR_I
    if page == "not-present":
        return code
    if page == "reserved-bit":
        return code | ERROR_P | ERROR_RSVD
    assert isinstance(page, naive.Page)

    if user:
        allowed = page.user and {"read": True, "write": page.write, "fetch": page.exec}[access]
    elif access == "fetch":
        allowed = page.exec and not (page.user and smep)
    else:
        allowed = (access == "read" or page.write or not wp) and not (page.user and smap and not ac)

    if page.user and access != "fetch" and registers.cr4 & CR4_PKE and registers.efer & EFER_LMA:
        key = page.entry >> 59 & 15
        access_disable, write_disable = pkru >> 2 * key & 1, pkru >> 2 * key + 1 & 1
        if access_disable or write_disable and access == "write" and (user or wp):
            allowed, code = False, code | ERROR_PK
    return None if allowed else code | ERROR_P


class Addresses:
    """The naive walker's answers to `pte`."""

    def __init__(
        self, walk: naive.Walk, read: naive.Read, registers: Registers, maxphyaddr: int = 52
    ) -> None:
        self.walk, self.read, self.registers = walk, read, registers
        self.maxphyaddr = maxphyaddr
        self.starts = [page.va for page in walk.pages]

    def outcome(self, va: int) -> tuple[str, int | None, naive.Page | None]:
        """In `pte`'s words, the level where the walk ended, and the page."""
        linear = naive.bits(_WIDTH[self.walk.mode] - 1, 0)
        if naive.canonical(va & linear, self.walk.mode) != va:
            return "not-canonical", None, None
        at = bisect_right(self.starts, va) - 1
        page = self.walk.pages[at] if at >= 0 else None
        if page and va < page.va + page.size:
            return "mapped", LEVEL_OF[page.size], page
        for name, faults in (
            ("reserved-bit", self.walk.malformed),
            ("unreadable", self.walk.unreadable),
        ):
            for fault in faults:
                if 0 <= (va & linear) - (fault.va & linear) < fault.size:
                    return name, fault.level, None
        return "not-present", self.steps(va)[-1][0], None

    def steps(self, va: int) -> list[tuple[int, int, int]]:
        r = self.registers
        return list(naive.steps(self.read, va, r.cr3, r.cr4, r.efer, self.maxphyaddr))

    def wrong(self, said: dict[str, Any], *, ac: bool = False, pkru: int = 0) -> list[str]:
        """What is wrong in one of the "addresses" of `pte -json`."""
        va = int(said["va"], 16)
        outcome, level, page = self.outcome(va)
        found: list[str] = []

        def expect(what: str, ours: Any, theirs: Any) -> None:
            if ours != theirs:
                found.append(f"{va:#x} {what}: naive {ours}, ptmap {theirs}")

        expect("outcome", outcome, said["outcome"])
        if found or outcome == "not-canonical":
            return found + self._access(said, outcome, ac, pkru)
        expect("level", level, said["level"])
        steps = [step for step in self.steps(va) if step[0] >= (level or 0)]
        read = [s for s in said["steps"] if "raw" in s]
        expect(
            "steps", steps, [(s["level"], int(s["entry_pa"], 16), int(s["raw"], 16)) for s in read]
        )
        if page:
            expect("pa", f"{page.pa + va - page.va:#x}", said["pa"])
            expect("page size", compare.SIZE_NAMES[page.size], said["page_size"])
            expect("cache", compare.CACHE_NAMES[page.slot], said["cache"])
            rights = {
                "user": page.user,
                "write": page.write,
                "exec": page.exec,
                "global": page.glob,
            }
            expect("rights", rights, said["rights"])
            expect(
                "denied",
                {right for right in _DENIES if not rights[right]},
                set(said.get("denied_by", {})),
            )
            for right, by in said.get("denied_by", {}).items():
                entry = next(int(s["raw"], 16) for s in read if s["name"] == by["entry"])
                bit, value = _DENIES[right]
                expect(f"{right} denied by {by['entry']}", value, entry & bit)
        return found + self._access(said, page or outcome, ac, pkru)

    def _access(
        self, said: dict[str, Any], page: naive.Page | str, ac: bool, pkru: int
    ) -> list[str]:
        found = []
        for mode, user in (("kernel", False), ("user", True)):
            for access in ("read", "write", "fetch"):
                verdict = said["access"][mode][access]
                theirs = (verdict["ok"], verdict.get("fault"), verdict.get("error_code"))
                if page == "not-canonical":
                    ours: tuple[Any, ...] = (False, "#GP", theirs[2])
                elif page == "unreadable":
                    ours = (None, None, None)
                else:
                    code = error_code(page, self.registers, user, access, ac=ac, pkru=pkru)
                    ours = (True, None, None) if code is None else (False, "#PF", f"{code:#x}")
                if ours != theirs:
                    found.append(f"{said['va']} {mode} {access}: naive {ours}, ptmap {theirs}")
        return found


_WIDTH = {"32-bit": 32, "pae": 32, "4-level": 48, "5-level": 57}


def report(
    addresses: Addresses,
    document: dict[str, Any],
    *,
    guest: str = "",
    ac: bool = False,
    pkru: int = 0,
) -> compare.Report:
    """Of a whole `pte -json`."""
    count = len(document["addresses"])
    result = compare.Report("naive, pte", count, count, guest=guest, unit="addresses")
    for said in document["addresses"]:
        wrong = addresses.wrong(said, ac=ac, pkru=pkru)
        if wrong:
            result.note(1, "; ".join(wrong))
    return result


def interesting(walk: naive.Walk, rng: Any, count: int = 4) -> Sequence[int]:
    """Addresses of each kind: in pages, just after runs, in what is malformed or unreadable,
    anywhere, not canonical."""
    width = _WIDTH[walk.mode]
    pages = rng.sample(walk.pages, min(count, len(walk.pages))) + walk.pages[:1] + walk.pages[-1:]
    found = [page.va + rng.randrange(page.size) for page in pages]
    found += [(page.va + page.size) & naive.bits(63 if width > 32 else 31, 0) for page in pages]
    for faults in (walk.malformed, walk.unreadable):
        found += [f.va + rng.randrange(f.size) for f in rng.sample(faults, min(2, len(faults)))]
    found.append(naive.canonical(rng.getrandbits(width), walk.mode))
    if width > 32:
        found.append(1 << (width - 1))
    return found
