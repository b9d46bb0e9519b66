"""What every floor uses. Nothing here needs GDB.

    errors.py          the one expected failure
    interval.py        FIRST to LAST
    lifetimes.py       what is remembered, by how long it lives
    native.py          the native module, loaded at first use
    option.py          options of commands
    private_folder.py  files of our own
    symbols.py         what a debugger knows of symbols and types
    text.py            numbers and sizes in words
"""
