"""Assertions about an address space: `ptmap check`, `pte -expect`.

    finding.py    what came of one: ok, failed, undecided, malformed; the entry responsible
    evidence.py   what is read of a space for all rules together: one scan
    predicate.py  what is said of an address or a stretch: attributes, mapped, unmapped
    forms.py      the forms that a rule can have, as a table; each parses and evaluates itself
    sections.py   the rights that ELF files ask for
    grid_file.py  a grid that a file has
    rule_file.py  files of rules
    results.py    all findings together: counts, the exit status; as TAP by tap.py
"""
