"""Which files a kernel's banner may name; tests/gdb/test_linux_symbols.py finds real ones."""

from __future__ import annotations

import pytest

from gdbsession import GdbSession, ptmap_script

ASK = """python
from types import SimpleNamespace
from ptmap.linux import vmlinux
try:
    print(vmlinux.release(SimpleNamespace(banner={!r})))
except Exception as error:
    print(type(error).__name__, error)
end"""


@pytest.mark.parametrize(
    "release, is_good",
    [
        ("6.12.117+deb13-cloud-amd64", True),
        ("5.14.0-427.el9.x86_64", True),
        ("7.0.0-rc1~exp1_x", True),
        ("6/../../etc", False),
        ("6.1;id", False),
        ("6.1\\x1b", False),
        ("..", False),
        ("6" * 65, False),
    ],
)
def test_release(release: str, is_good: bool) -> None:
    code = ASK.format(f"Linux version {release} (a@b) #1").split("\n")[1:-1]
    with GdbSession(script=ptmap_script()) as gdb:
        text = "\n".join(code)
        said = gdb.run(f"python exec({text!r})").strip()
    if is_good:
        assert said == release
    else:
        assert said == f"Refusal the kernel's release cannot be a file's name: {release}"
