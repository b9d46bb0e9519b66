"""The commands, one file each; the docstring of a command's class is its help.

    command.py        the base class: options, arguments, output
    map_view.py       the map that `ptmap` shows
    summary.py        the lines above and below a map
    watch.py          watchpoints on entries, for `pte -watch`
"""
