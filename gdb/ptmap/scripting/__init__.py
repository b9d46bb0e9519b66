"""ptmap in GDB's own languages.

    api.py        the names that a script gets by `import ptmap`
    functions.py  the convenience functions, such as $ptmap_pa
"""
