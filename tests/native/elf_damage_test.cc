// Damaged images: whatever is broken, the answer is an error or smaller, and no symbol is wrong.
//
// Each sample is damaged in every way below, once with its section headers and once without them.
// What no reader can notice, as nothing else in the image says it, is not held against it:
//
//   - a symbol's own st_value and st_size, where they lead to other code;
//   - a symbol's own index in .gnu.version, where another version has it;
//   - the bytes of the build id;
//   - without section headers: a data symbol's own type, as data lies in the segment of the code;
//   - with DT_HASH alone: the symbol's own st_name and the bytes of names, where the new name is in
//     the same bucket. It has no more of a name than that.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <tuple>

#include "elf_samples.h"

namespace ptmap::elf {
namespace {

struct Damage {
    std::size_t offset = 0, size = 0;  ///< bytes of the image; 0: it is only cut
    bool touches(std::size_t from, std::size_t length) const {
        return offset < from + length && from < offset + size;
    }
};

// A sample and what may be said of it.
class Subject {
public:
    Subject(const Sample& sample, bool with_sections)
        : bytes(with_sections ? sample.bytes : without_sections(sample)),
          sample_(sample),
          with_sections_(with_sections),
          intact_(read(bytes)),
          known_(functions_by_sections(sample.bytes)),
          symbols_(section(sample.bytes, ".dynsym")),
          strings_(section(sample.bytes, ".dynstr")),
          versions_(section(sample.bytes, ".gnu.version")),
          note_(section(sample.bytes, ".note")) {}

    // Reads a damaged copy and says what is wrong with the answer; empty: nothing.
    std::string wrong_with(std::span<const std::byte> damaged, const Damage& damage) {
        ++tried;
        std::optional<Image> image;
        try {
            image = read(damaged);
        } catch (const std::invalid_argument& e) {
            ++errors;
            return std::string_view(e.what()).empty() ? "an error without a word" : "";
        }
        functions += image->functions.size();
        if (image->abi != intact_.abi) return "abi";
        if (image->base != intact_.base) return "base";
        if (image->size > max_image_size) return "size";
        if (!image->soname.empty() && image->soname != intact_.soname) return "soname";
        if (!image->build_id.empty() && image->build_id != intact_.build_id &&
            !damage.touches(note_.offset + 16, 20))
            return "build id";
        if (image->problems.size() > 8) return "many problems";
        for (const Function& function : image->functions)
            if (!may_be(function, damage)) return function.name;
        return "";
    }

    const Bytes bytes;
    std::size_t tried = 0, errors = 0, functions = 0;

private:
    bool may_be(const Function& function, const Damage& damage) const {
        const auto known = std::ranges::find(known_, function.name, &Function::name);
        if (function.name == "__vdso_data" && !with_sections_)
            return damage.touches(symbols_.offset, symbols_.size);
        if (known == known_.end()) return !sample_.has_gnu_hash() && touches_name(damage);
        const std::size_t at = known->symbol_offset;
        const bool is_64 = sample_.is_64();
        const bool moved = damage.touches(at + (is_64 ? 8 : 4), is_64 ? 16 : 8);
        if (!moved && (function.offset != known->offset || function.size != known->size))
            return !sample_.has_gnu_hash() && touches_name(damage);
        const bool other_version = damage.touches(versions_.offset + 2 * known->index, 2);
        return function.weak == known->weak &&
               (function.version.empty() || function.version == known->version || other_version);
    }

    // A name, or which name is some symbol's.
    bool touches_name(const Damage& damage) const {
        return damage.touches(strings_.offset, strings_.size) ||
               std::ranges::any_of(known_, [&](const Known& known) {
                   return damage.touches(known.symbol_offset, 4);
               });
    }

    const Sample sample_;
    const bool with_sections_;
    const Image intact_;
    const std::vector<Known> known_;
    const Section symbols_, strings_, versions_, note_;
};

// One test for each sample, with and without section headers.
class ElfDamage : public testing::TestWithParam<std::tuple<std::string, bool>> {
protected:
    void SetUp() override {
        const auto& [name, with_sections] = GetParam();
        subject_.emplace(sample(name), with_sections);
    }

    // Figures for --gtest_output=xml.
    void TearDown() override {
        RecordProperty("tried", static_cast<int>(subject_->tried));
        RecordProperty("errors", static_cast<int>(subject_->errors));
        RecordProperty("functions", static_cast<int>(subject_->functions));
    }

    void expect_nothing_wrong(std::span<const std::byte> damaged, const Damage& damage,
                              const std::string& how) {
        EXPECT_EQ(subject_->wrong_with(damaged, damage), "")
            << how << " at " << damage.offset << ", " << damage.size << " bytes";
    }

    // Each field of rows of fields, and each byte of them, becomes several other values.
    void damage_fields(const Section& place, const std::vector<std::size_t>& row) {
        std::size_t at = place.offset, end = place.offset + place.size;
        for (std::size_t i = 0; at < end; at += row[i++ % row.size()]) {
            damage_field(at, std::min(row[i % row.size()], end - at));
            for (std::size_t byte = at; byte < std::min(at + row[i % row.size()], end); ++byte)
                damage_byte(byte);
        }
    }

    void damage_field(std::size_t at, std::size_t size) {
        std::uint64_t was = 0;
        std::memcpy(&was, &subject_->bytes.at(at), size);
        for (const std::uint64_t value :
             {std::uint64_t{0}, ~std::uint64_t{0}, was + 1, was - 1, was * 2})
            damage_by({at, size}, value);
    }

    void damage_byte(std::size_t at) {
        const auto was = std::to_integer<unsigned>(subject_->bytes.at(at));
        for (const unsigned value : {0u, 0xffu, was + 1, was - 1, was ^ 0x80, was ^ 1})
            damage_by({at, 1}, value);
    }

    void damage_by(const Damage& damage, std::uint64_t value) {
        Bytes damaged = subject_->bytes;
        std::memcpy(&damaged.at(damage.offset), &value, damage.size);
        if (damaged != subject_->bytes)
            expect_nothing_wrong(damaged, damage, "value " + std::to_string(value));
    }

    bool is_64() const { return std::get<0>(GetParam()).starts_with("64"); }
    const Bytes& bytes() const { return subject_->bytes; }
    Section part(const std::string& name) const {
        return section(sample(std::get<0>(GetParam())).bytes, name);
    }

    std::optional<Subject> subject_;
};

TEST_P(ElfDamage, CutAtEveryLength) {
    for (std::size_t length = 0; length < bytes().size(); ++length) {
        // A copy without room behind it, so that a sanitizer sees who looks there.
        const Bytes cut(bytes().begin(), bytes().begin() + static_cast<std::ptrdiff_t>(length));
        expect_nothing_wrong(cut, {}, "cut to " + std::to_string(length));
    }
}

TEST_P(ElfDamage, Headers) {
    const std::size_t header = is_64() ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    damage_fields({"", 0, 0, EI_NIDENT}, {1});
    damage_fields({"", 0, EI_NIDENT, header - EI_NIDENT},
                  is_64() ? std::vector<std::size_t>{2, 2, 4, 8, 8, 8, 4, 2, 2, 2, 2, 2, 2}
                          : std::vector<std::size_t>{2, 2, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2});
    const std::size_t segments = get<std::uint16_t>(
        bytes(), is_64() ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum));
    EXPECT_EQ(segments, 3u);
    if (is_64())
        damage_fields({"", 0, header, segments * sizeof(Elf64_Phdr)}, {4, 4, 8, 8, 8, 8, 8, 8});
    else
        damage_fields({"", 0, header, segments * sizeof(Elf32_Phdr)}, {4});
}

TEST_P(ElfDamage, SectionHeaders) {
    if (!std::get<1>(GetParam())) return;
    const std::size_t count = sections(bytes()).size();
    if (is_64())
        damage_fields({"", 0, get<Elf64_Ehdr>(bytes(), 0).e_shoff, count * sizeof(Elf64_Shdr)},
                      {4, 4, 8, 8, 8, 8, 4, 4, 8, 8});
    else
        damage_fields({"", 0, get<Elf32_Ehdr>(bytes(), 0).e_shoff, count * sizeof(Elf32_Shdr)},
                      {4});
}

TEST_P(ElfDamage, Dynamic) { damage_fields(part(".dynamic"), {is_64() ? 8u : 4u}); }

TEST_P(ElfDamage, Symbols) {
    damage_fields(part(".dynsym"), is_64() ? std::vector<std::size_t>{4, 1, 1, 2, 8, 8}
                                           : std::vector<std::size_t>{4, 4, 4, 1, 1, 2});
    damage_fields(part(".dynstr"), {1});
}

TEST_P(ElfDamage, HashTables) {
    const std::string& name = std::get<0>(GetParam());
    if (!name.ends_with("gnu")) damage_fields(part(".hash"), {4});
    if (!name.ends_with("sysv")) damage_fields(part(".gnu.hash"), {4});
}

TEST_P(ElfDamage, VersionsAndNotes) {
    damage_fields(part(".gnu.version"), {2});
    damage_fields(part(".gnu.version_d"), {2, 2, 2, 2, 4, 4, 4, 4, 4});
    damage_fields(part(".note"), {4});
}

// Each address of the dynamic section leads anywhere near the right place.
TEST_P(ElfDamage, TablesShifted) {
    const Section dynamic = part(".dynamic");
    const std::size_t word = is_64() ? 8 : 4;
    for (std::size_t at = dynamic.offset + word; at < dynamic.offset + dynamic.size;
         at += 2 * word) {
        std::uint64_t was = 0;
        std::memcpy(&was, &bytes().at(at), word);
        for (std::uint64_t shift = 1; shift <= 64; ++shift) {
            damage_by({at, word}, was + shift);
            damage_by({at, word}, was - shift);
        }
    }
}

TEST_P(ElfDamage, BlocksOfZeros) {
    for (const std::size_t block : {4096, 512, 64, 16})
        for (std::size_t at = 0; at < bytes().size(); at += block) {
            Bytes damaged = bytes();
            const std::size_t end = std::min(at + block, damaged.size());
            for (std::size_t i = at; i < end; ++i) damaged[i] = std::byte{0};
            // A page of zeros is what a missing one looks like: no exception for it, but for a
            // part of the build id, which lies across no page's end.
            const Section note = part(".note");
            const bool in_id = at < note.offset + 36 && end > note.offset + 16;
            const Damage damage = in_id ? Damage{note.offset + 16, 20} : Damage{};
            expect_nothing_wrong(damaged, damage, "zeros from " + std::to_string(at));
        }
}

// Anything may come out of many wrong bytes at once, but soon and without harm.
TEST_P(ElfDamage, Noise) {
    std::uint64_t noise = 88172645463325252;
    const auto random = [&] {
        noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
        return noise;
    };
    std::size_t read_well = 0;
    for (int round = 0; round < 1000; ++round) {
        Bytes damaged = bytes();
        for (std::uint64_t count = random() % 24 + 1; count-- > 0;)
            damaged[256 + random() % (damaged.size() - 256) % 1280] = std::byte(random());
        try {
            read_well += read(damaged).dynamic;
        } catch (const std::invalid_argument&) {
        }
    }
    EXPECT_GT(read_well, 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Samples, ElfDamage,
    testing::Combine(testing::Values("64-both", "64-gnu", "64-sysv", "64-prelinked", "32-both",
                                     "32-gnu", "32-sysv", "x32-both", "x32-gnu", "x32-sysv"),
                     testing::Bool()),
    [](const auto& parameters) {
        std::string name = std::get<0>(parameters.param);
        std::ranges::replace(name, '-', '_');
        return name + (std::get<1>(parameters.param) ? "" : "_without_sections");
    });

}  // namespace
}  // namespace ptmap::elf
