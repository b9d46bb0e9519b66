"""Where physical memory comes from; choose.py takes one source for each connection.

    source.py      the base class
    packets.py     QEMU's stub by packets: pmemsave.py reads many pages at once, qemu_ram.py says
                   what is RAM
    process.py     the QEMU process on this host: peer.py and sock_diag.py find the process at the
                   other end of GDB's connection, host_memory.py finds the machine's RAM in it
    direct_map.py  a kernel's own map of all RAM, for stubs that read only linear memory: kgdb
    dump.py        a dump of the machine
    flat_file.py   a raw image of the machine's memory
"""
