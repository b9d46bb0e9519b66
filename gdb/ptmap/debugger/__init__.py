"""GDB's own API, as far as ptmap needs it.

    c_types.py       C's types in frames of other languages
    expressions.py   expressions, which write nothing to the target
    failures.py      what goes wrong, as the user gets to see it
    files.py         files that the user names
    lookup.py        symbols and types as GDB knows them
    numbers.py       expressions as integers, addresses and variables
    progress.py      how far a long command is
    settings.py      set/show ptmap
    symbol_files.py  symbols given to GDB
"""
