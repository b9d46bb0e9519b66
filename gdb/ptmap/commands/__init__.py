"""The commands, one file each; the docstring of its class is the command's help.

    command.py        what they share: options, arguments, output
    map_view.py       what `ptmap` shows of a space
    summary.py        what stands over and under a map
    watch.py          watchpoints on entries
"""
