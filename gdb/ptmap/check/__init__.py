"""Assertions about an address space: `ptmap check`, `pte -expect`.

    finding.py    the result of a rule: ok, failed, undecided or malformed; the responsible entry
    evidence.py   what the rules of a command read of a space, each thing once
    predicate.py  what a rule says of an address or a range: attributes, mapped, unmapped
    forms.py      the forms of rules, as a table; each parses and evaluates itself
    sections.py   the rights that ELF files ask for
    grid_file.py  a grid in a file
    rule_file.py  files of rules
    results.py    the files that results go to
    tap.py        results as TAP
"""
