"""GDB's API, as far as ptmap needs it.

    c_types.py       C's types, in frames of other languages too
    expressions.py   expressions, evaluated without writing to the target
    failures.py      failures as the user sees them
    files.py         files that the user names
    interrupts.py    Ctrl-C while the native module works
    lookup.py        symbols and types as GDB knows them
    numbers.py       expressions as integers, addresses and variables
    progress.py      the progress line of a long command
    settings.py      set/show ptmap
    symbol_files.py  symbols that ptmap gives to GDB
"""
