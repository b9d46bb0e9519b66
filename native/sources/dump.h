// A machine's dump: an ELF core or a kdump file, as QEMU's dump-guest-memory writes them. Its
// memory, and its CPUs' registers from its notes.
//
// The bytes may be hostile. A page that was left out of the file, or cut off, is unreadable with a
// reason. It is never zeros.
#pragma once

#include <memory>
#include <string>

#include "paging/memory.h"
#include "sources/dump_notes.h"
#include "sources/flat_file.h"
#include "sources/input_file.h"

namespace ptmap {

class Dump : public PhysicalMemory {
public:
    virtual std::string_view format() const = 0;  ///< "ELF", "kdump"
    /// RAM and ROM, also what the file lacks of it; by rising address.
    virtual std::vector<PhysInterval> ram() const = 0;
    virtual std::uint64_t requests() const = 0;  ///< reads of the file
    virtual bool cut() const = 0;                ///< the file ends before its memory does
    virtual const DumpNotes& notes() const = 0;
    virtual const InputFile& file() const = 0;
};

/// Error: FileError, one phrase, if the file is not a dump of an x86 machine, or its headers are
/// damaged or cut off.
std::unique_ptr<Dump> open_dump(const std::string& path);

// Reasons why an address cannot be read.
inline constexpr const char* not_in_dump = "not in the dump";
inline constexpr const char* dump_ended = "the dump ends before it";

// open_dump() chooses one of these by the file's first bytes.
std::unique_ptr<Dump> open_elf_dump(std::shared_ptr<InputFile> file);
std::unique_ptr<Dump> open_kdump(std::shared_ptr<InputFile> file);

}  // namespace ptmap
