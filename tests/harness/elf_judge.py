"""What binutils' readelf says of a vDSO in a file, and the checksum that a test guest prints of its
own (init.c, vdso_touch=all and vdso_sum=later)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

_SYMBOL = re.compile(
    r"^ *\d+: ([0-9a-f]+) +(\S+) (FUNC|NOTYPE) +(GLOBAL|WEAK) +DEFAULT +(\d+) "
    r"([^@\s]+)(?:@@?(\S+))?",
    re.M,
)
_LOAD = re.compile(r"^ *LOAD +0x0+ 0x([0-9a-f]+)", re.M)


class Function(NamedTuple):
    offset: int  # from the image's first byte
    size: int
    name: str
    version: str | None
    binding: str


class Elf(NamedTuple):
    abi: str
    soname: str
    build_id: str
    functions: list[Function]


def read(path: Path) -> Elf:
    base = int(_first(_LOAD, _readelf("-lW", path)), 16)
    header = _readelf("-hW", path)
    is_64 = "ELF64" in header
    abi = "64-bit" if is_64 else "x32" if "X86-64" in header else "32-bit"
    functions = [
        Function(int(value, 16) - base, int(size, 0), name, version or None, binding.lower())
        for value, size, _, binding, _, name, version in _SYMBOL.findall(
            _readelf("--dyn-syms -W", path)
        )
    ]
    return Elf(
        abi,
        _first(re.compile(r"soname: \[(.*)\]"), _readelf("-dW", path)),
        _first(re.compile(r"Build ID: ([0-9a-f]+)"), _readelf("-nW", path)),
        sorted(functions),
    )


def fnv1a(content: bytes) -> int:
    """64 bits of it, as init.c computes them."""
    value = 14695981039346656037
    for byte in content:
        value = (value ^ byte) * 1099511628211 & (1 << 64) - 1
    return value


def _readelf(options: str, path: Path) -> str:
    return subprocess.run(
        ["readelf", *options.split(), path],
        check=True,
        capture_output=True,
        text=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    ).stdout


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    assert found, text
    return found[1]
