// Damaged dumps: whatever their bytes are, reading them ends, and in order. Run under sanitizers.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "dump_samples.h"
#include "machine/dump_spaces.h"

namespace ptmap {
namespace {

// All that a command could ask.
void use(const std::string& path) {
    try {
        const auto dump = open_dump(path);
        const std::vector<PhysInterval> ram = dump->ram();
        dump->cut();
        for (const DumpSpace& space : spaces_of(*dump)) EXPECT_NE(space.paging.root().value, ~0ull);
        Bytes page(4096);
        std::vector<std::uint64_t> addresses{
            0, 0x1000, 0x2000, 0x5000, 0x100000, 0x123456000, 0xffffffffffffff00};
        for (std::size_t i = 0; i < std::min<std::size_t>(ram.size(), 20); ++i) {
            addresses.push_back(ram[i].first.value);
            addresses.push_back(ram[i].last.value - 100);
        }
        for (const std::uint64_t address : addresses) {
            Fetch fetch{{address}, page};
            dump->fetch({&fetch, 1});
            EXPECT_NE(fetch.ok, !fetch.why.empty());
        }
    } catch (const FileError& error) {
        EXPECT_NE(std::string(error.what()), "");
    }
}

struct Damage : testing::TestWithParam<std::tuple<bool, bool>> {
    Bytes make() const {
        SampleDump sample;
        sample.cpus.resize(2);
        sample.class_64 = std::get<1>(GetParam());
        sample.pages.pop_back();  // the file is small without it
        return std::get<0>(GetParam()) ? elf_dump(sample) : kdump_file(sample);
    }
};
INSTANTIATE_TEST_SUITE_P(Dumps, Damage, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto& which) {
                             return std::string(std::get<0>(which.param) ? "elf" : "kdump") +
                                    (std::get<1>(which.param) ? "64" : "32");
                         });

// Where the bytes are that say something: all but the pages' contents and holes.
std::vector<std::size_t> telling(const Bytes& file) {
    std::vector<std::size_t> places;
    for (std::size_t at = 0; at < file.size(); ++at)
        if (at < 700 || file[at] != std::byte{0}) places.push_back(at);
    if (places.size() > 6000) places.resize(6000);
    return places;
}

TEST_P(Damage, OfEachByte) {
    const Bytes whole = make();
    const TemporaryFile file(whole);
    Bytes broken = whole;
    for (const std::size_t at : telling(whole)) {
        if (at >= 700 && at % 16) continue;
        for (const int value : {0, 0xff}) {
            broken[at] = std::byte(value);
            file.write(broken);
            use(file.path());
        }
        broken[at] = whole[at];
    }
}

// Only the records: what is in them is damaged above.
TEST(FlattenedDamage, OfEachByte) {
    const Bytes whole = flattened(kdump_file({}));
    const TemporaryFile file(whole);
    Bytes broken = whole;
    for (std::size_t at = 0; at < whole.size(); at += at < 4096 ? 64 : at < 4200 ? 1 : 977)
        for (const int value : {0, 0x7f, 0xff}) {
            broken[at] = std::byte(value);
            file.write(broken);
            use(file.path());
            broken[at] = whole[at];
        }
}

// The notes, each byte: what is in the rest is damaged above.
TEST(CrashDumpDamage, OfEachByteOfItsNotes) {
    const SampleDump sample = crash_dump(sample_vmcoreinfo);
    const std::size_t size = notes_of(sample).size();
    for (const Bytes& whole : {elf_dump(sample), kdump_file(sample)}) {
        const std::string_view text(reinterpret_cast<const char*>(whole.data()), whole.size());
        const std::size_t begin = text.find("CORE") - 12;
        const TemporaryFile file(whole);
        Bytes broken = whole;
        for (std::size_t at = begin; at < begin + size; at += at < begin + 356 ? 16 : 1) {
            for (const char value : {'\0', '\n', '9', '\xff'}) {
                broken[at] = std::byte(value);
                file.write(broken);
                use(file.path());
            }
            broken[at] = whole[at];
        }
    }
}

TEST_P(Damage, OfEachField) {
    const Bytes whole = make();
    const TemporaryFile file(whole);
    for (std::size_t at = 0; at + 8 <= std::min<std::size_t>(whole.size(), 4096 + 300);
         at += at < 700 || at >= 4096 ? 4 : 1024) {
        for (const std::uint64_t value :
             {0ull, 0x1000ull, 0x7fffffffull, ~0ull, static_cast<unsigned long long>(whole.size()),
              static_cast<unsigned long long>(whole.size()) - 1}) {
            for (const std::size_t size : {4, 8}) {
                Bytes broken = whole;
                std::memcpy(broken.data() + at, &value, size);
                file.write(broken);
                use(file.path());
            }
        }
    }
}

TEST_P(Damage, AtRandom) {
    const Bytes whole = make();
    const std::vector<std::size_t> places = telling(whole);
    const TemporaryFile file(whole);
    std::mt19937_64 random(6);
    for (int round = 0; round < 500; ++round) {
        Bytes broken = whole;
        for (std::uint64_t n = 1 + random() % 6; n > 0; --n)
            broken[places[random() % places.size()]] = std::byte(random());
        if (random() % 4 == 0) broken.resize(random() % broken.size());
        file.write(broken);
        use(file.path());
    }
}

}  // namespace
}  // namespace ptmap
