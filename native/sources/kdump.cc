// Kdump files. libkdumpfile finds the pages and decompresses them.
//
// It reads zeros beyond the end of a file and trusts the sizes in it, so both are checked here
// first: the headers once, each page's descriptor before the page.
#include <libkdumpfile/kdumpfile.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "paging/file_part.h"
#include "sources/dump.h"
#include "sources/interrupt.h"

namespace ptmap {
namespace {

// The format's structures are in makedumpfile's IMPLEMENTATION and QEMU's include/sysemu/dump.h.
constexpr std::uint64_t block = 4096;  // the page size of x86
constexpr std::uint64_t max_notes = 64 << 20;
constexpr std::uint64_t max_page_number = std::uint64_t{1} << 40;  // 52 bits of address
constexpr std::size_t max_runs = 1 << 22;

// The places of fields in the header and the sub-header, with 32- and 64-bit alignment.
struct Layout {
    unsigned block_size, sub_header_blocks, bitmap_blocks, max_page_number;
    unsigned vmcoreinfo, notes, eraseinfo, max_page_number_64, sub_header_size;  // in the second
    unsigned size_bytes;                                                         // of a size field
};
constexpr Layout layout_32{416, 420, 424, 428, 20, 32, 44, 72, 80, 4};
constexpr Layout layout_64{428, 432, 436, 440, 32, 48, 64, 96, 104, 8};
constexpr unsigned header_version = 8;

struct PageDescriptor {
    std::uint64_t offset;
    std::uint32_t size, flags;
    std::uint64_t page_flags;
};
static_assert(sizeof(PageDescriptor) == 24);
constexpr std::uint32_t compressed = 0x1 | 0x2 | 0x4 | 0x20;  // zlib, lzo, snappy, zstd

struct Header {
    std::uint64_t bitmap, descriptors;  // their offsets
    FilePart notes, vmcoreinfo;
};

template <typename Integer>
Integer field(std::span<const std::byte> bytes, std::size_t at) {
    Integer value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

FilePart part_at(std::span<const std::byte> bytes, std::size_t at, unsigned size_bytes) {
    return {field<std::uint64_t>(bytes, at), size_bytes == 4 ? field<std::uint32_t>(bytes, at + 8)
                                                             : field<std::uint64_t>(bytes, at + 8)};
}

// Error: FileError.
Header read_header(InputFile& file) {
    std::array<std::byte, 2 * block> bytes;
    if (file.read(0, bytes) < bytes.size()) throw FileError("it is cut off within its header");
    const FileError damaged("its kdump header is damaged");
    const auto word = [&](unsigned at) { return field<std::uint32_t>(bytes, at); };
    const Layout* layout = word(layout_32.block_size) == block   ? &layout_32
                           : word(layout_64.block_size) == block ? &layout_64
                                                                 : nullptr;
    if (!layout || word(header_version) < 1 || word(header_version) > 1000) throw damaged;

    const std::uint64_t sub_header = word(layout->sub_header_blocks);
    const std::uint64_t bitmap_blocks = word(layout->bitmap_blocks);
    constexpr std::uint64_t many = 1 << 24;  // 64 GiB of bitmap
    if (sub_header < 1 || sub_header > many || bitmap_blocks < 1 || bitmap_blocks > many)
        throw damaged;
    const std::uint64_t bitmap = (1 + sub_header) * block;
    const std::uint64_t descriptors = bitmap + bitmap_blocks * block;
    if (descriptors > file.size()) throw FileError("it is cut off within its header");

    const auto second = std::span(bytes).subspan(block);
    std::uint64_t pages = word(layout->max_page_number);
    if (word(header_version) >= 6) pages = field<std::uint64_t>(second, layout->max_page_number_64);
    if (pages > max_page_number || pages > bitmap_blocks * block * 8) throw damaged;

    Header header{bitmap, descriptors, {0, 0}, {0, 0}};
    const auto check = [&](unsigned at) {
        const FilePart what = part_at(second, at, layout->size_bytes);
        const bool sensible = what.size == 0 || (what.size <= max_notes && what.offset >= block);
        if (!sensible || !contains({0, file.size()}, what)) throw damaged;
        return what;
    };
    if (word(header_version) >= 3) header.vmcoreinfo = check(layout->vmcoreinfo);
    if (word(header_version) >= 4) header.notes = check(layout->notes);
    if (word(header_version) >= 4) check(layout->eraseinfo);
    return header;
}

DumpNotes read_notes(InputFile& file, const Header& header) {
    const auto bytes_at = [&](const FilePart& where) {
        std::vector<std::byte> bytes(where.size);
        bytes.resize(file.read(where.offset, bytes));
        return bytes;
    };
    DumpNotes notes = read_dump_notes(bytes_at(header.notes));
    const auto text = bytes_at(header.vmcoreinfo);
    if (!notes.any && !notes.vmcoreinfo && !text.empty())  // version 3 has no notes
        notes.vmcoreinfo = read_vmcoreinfo(text);
    // libkdumpfile 0.5.1 reads these texts, too, and dies of some that no kernel writes.
    if (!notes.vmcoreinfo_is_sound || !is_sound_vmcoreinfo(text))
        throw FileError("its VMCOREINFO is damaged");
    return notes;
}

// Up to 0.5.1 (Debian 12), kdump_free() of a context with an open file writes to memory that it has
// freed (seen with valgrind), and now and then the process dies. With these versions a context is
// never freed: it costs some MiB for each dump that is opened.
constexpr bool context_can_be_freed = KDUMPFILE_VERSION > KDUMPFILE_MKVER(0, 5, 1);

struct EndContext {
    void operator()(kdump_ctx_t* context) const {
        if (context_can_be_freed) kdump_free(context);
    }
};
using Context = std::unique_ptr<kdump_ctx_t, EndContext>;

[[noreturn]] void fail(kdump_ctx_t* context) {
    const char* why = kdump_get_err(context);
    throw FileError(std::string("libkdumpfile does not read it: ") +
                    (why ? why : "no reason given"));
}

Context open_context(const InputFile& file) {
    Context context(kdump_new());
    if (!context) throw FileError("libkdumpfile does not start");
    // Without mappings there is no SIGBUS: see InputFile.
    if (kdump_set_number_attr(context.get(), KDUMP_ATTR_FILE_MMAP_POLICY, KDUMP_MMAP_NEVER) !=
            KDUMP_OK ||
        kdump_open_fd(context.get(), file.descriptor()) != KDUMP_OK)
        fail(context.get());
    return context;
}

// Consecutive pages in a bitmap, and the number of pages before them.
struct Run {
    std::uint64_t first, end, before;
};

std::vector<Run> runs_of(kdump_ctx_t* context, const char* attribute) {
    // Not by kdump_get_typed_attr(): its arguments differ between versions.
    kdump_attr_t map;
    if (kdump_get_attr(context, attribute, &map) != KDUMP_OK) fail(context);
    if (map.type != KDUMP_BITMAP) throw FileError("libkdumpfile gives no bitmap of its pages");
    std::vector<Run> runs;
    std::uint64_t before = 0;
    for (kdump_addr_t at = 0; kdump_bmp_find_set(map.val.bitmap, &at) == KDUMP_OK;) {
        kdump_addr_t end = at;
        if (kdump_bmp_find_clear(map.val.bitmap, &end) != KDUMP_OK || end <= at ||
            end > max_page_number || runs.size() == max_runs)
            throw FileError("its bitmap of pages is damaged");
        runs.push_back({at, end, before});
        before += end - at;
        at = end;
    }
    return runs;
}

class Kdump final : public Dump {
public:
    explicit Kdump(std::shared_ptr<InputFile> file)
        : file_(std::move(file)),
          header_(read_header(*file_)),
          notes_(read_notes(*file_, header_)),
          context_(open_context(*file_)),
          dumped_(runs_of(context_.get(), KDUMP_ATTR_FILE_PAGEMAP)) {}

    void fetch(std::span<Fetch> reads) override {
        size_ = file_->size_now();
        for (Fetch& read : reads) {
            if (interrupt_pending()) throw Interrupted();
            try {
                read_pages(read);
            } catch (const FileError& error) {
                read.ok = false;
                read.why = error.what();
            }
        }
    }

    std::string_view format() const override { return "kdump"; }

    std::vector<PhysInterval> ram() const override {
        std::vector<PhysInterval> ranges;
        for (const Run& run : runs_of(context_.get(), KDUMP_ATTR_MEMORY_PAGEMAP))
            ranges.push_back({{run.first * block}, {run.end * block - 1}});
        return ranges;
    }

    std::uint64_t requests() const override { return file_->requests() + reads_; }
    bool cut() const override { return ends_before_last_pages(); }
    const DumpNotes& notes() const override { return notes_; }
    const InputFile& file() const override { return *file_; }

private:
    void read_pages(Fetch& read) {
        read.ok = false;
        std::span<std::byte> to = read.to;
        for (std::uint64_t address = read.address.value; !to.empty();) {
            const auto part = to.first(std::min<std::uint64_t>(to.size(), block - address % block));
            read.why = read_page(address, part);
            if (!read.why.empty()) return;
            address += part.size();
            to = to.subspan(part.size());
        }
        read.ok = true;
    }

    // "", or the reason why not. Reads within one page.
    std::string read_page(std::uint64_t address, std::span<std::byte> to) {
        const auto number = number_of(address / block);
        if (!number) return not_in_dump;
        std::string why = check_page(*number);
        if (!why.empty()) return why;
        ++reads_;
        std::size_t length = to.size();
        if (kdump_read(context_.get(), KDUMP_MACHPHYSADDR, address, to.data(), &length) == KDUMP_OK)
            return "";
        const char* said = kdump_get_err(context_.get());
        return std::string("damaged in the dump: ") + (said ? said : "no reason given");
    }

    // The number of a page's descriptor; none if the page was left out.
    std::optional<std::uint64_t> number_of(std::uint64_t page) const {
        const auto after =
            std::upper_bound(dumped_.begin(), dumped_.end(), page,
                             [](std::uint64_t p, const Run& run) { return p < run.first; });
        if (after == dumped_.begin() || page >= std::prev(after)->end) return std::nullopt;
        return std::prev(after)->before + (page - std::prev(after)->first);
    }

    // Whether the file has the data of a descriptor: "", or why not.
    std::string check_page(std::uint64_t number) const {
        PageDescriptor page;
        std::array<std::byte, sizeof page> bytes;
        if (file_->read(header_.descriptors + number * sizeof page, bytes) < bytes.size())
            return dump_ended;
        std::memcpy(&page, bytes.data(), sizeof page);
        const bool packed = page.flags & compressed;
        // A page is compressed only if that makes it smaller. libkdumpfile has no room for more.
        if (packed ? page.size == 0 || page.size >= block : page.size != block)
            return "damaged in the dump: its size is not a page's";
        return contains({0, size_}, {page.offset, page.size}) ? "" : dump_ended;
    }

    // Pages are in the file by rising address, except those that are equal to an earlier one. So
    // one of the last hundreds of pages is at the file's end.
    bool ends_before_last_pages() const {
        const std::uint64_t count =
            dumped_.empty() ? 0 : dumped_.back().before + dumped_.back().end - dumped_.back().first;
        try {
            for (std::uint64_t n = count - std::min<std::uint64_t>(count, 512); n < count; ++n)
                if (check_page(n) == dump_ended) return true;
        } catch (const FileError&) {
            return true;
        }
        return false;
    }

    std::shared_ptr<InputFile> file_;
    std::uint64_t size_ = file_->size();  // at the last look
    Header header_;
    DumpNotes notes_;
    Context context_;
    std::vector<Run> dumped_;
    std::uint64_t reads_ = 0;
};

}  // namespace

std::unique_ptr<Dump> open_kdump(std::shared_ptr<InputFile> file) {
    return std::make_unique<Kdump>(std::move(file));
}

}  // namespace ptmap
