"""ptmap in GDB's own languages.

    api.py        what a script's `import ptmap` gives
    functions.py  $ptmap_pa and the like
"""
