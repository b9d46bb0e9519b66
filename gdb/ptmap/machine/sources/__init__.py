"""Where physical memory comes from; choose.py takes one source for each connection.

    source.py      what all of them have
    packets.py     QEMU's stub by packets: pmemsave.py reads much at once, qemu_ram.py says what
                   is RAM
    process.py     the QEMU process of this host: peer.py and sock_diag.py find who is at the
                   other end of GDB's connection, host_memory.py where it has the machine's RAM
    direct_map.py  a kernel's own map of all RAM, for stubs that read only linear memory: kgdb
    dump.py        a dump of the machine
    flat_file.py   a raw image of its memory
"""
