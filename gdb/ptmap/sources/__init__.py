"""Where physical memory comes from: one module for each source, choose.py takes one."""
