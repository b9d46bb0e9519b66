// Runs tests/vectors/*.txt. What the core says is put into the words of those files and compared
// as text, so that a word that does not exist is a difference too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "arch/access.h"
#include "fake_memory.h"
#include "vector_file.h"

namespace ptmap {

// What gtest calls a case in its messages.
void PrintTo(const VectorCase& vectors, std::ostream* out) {
    *out << vectors.file << ':' << vectors.line;
}

namespace {

std::string hex(std::uint64_t value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

// "bit 63", "bits 12,13": all bits of the entry that have this role.
std::string bits_with(const Paging& paging, const Step& step, Role role) {
    std::string list;
    const auto position = static_cast<unsigned>(paging.position(step.level->number));
    for (const NamedBits& b : paging.decode(paging.levels()[position], step.raw))
        for (unsigned i = 0; b.role == role && i < b.field->width; ++i)
            if (b.value >> i & 1)
                list += (list.empty() ? "" : ",") + std::to_string(b.field->low + i);
    return (list.find(',') == std::string::npos ? "bit " : "bits ") + list;
}

std::string mapped(const Walk& walk, const VectorCase& vectors) {
    std::string text = "mapped pa=" + hex(walk.pa.value);
    (text += " size=") += page_size_name(page_shift_of(walk.page_size));
    text += has(walk.rights, Rights::user) ? " user" : " supervisor";
    text += has(walk.rights, Rights::write) ? " write" : " read-only";
    text += has(walk.rights, Rights::exec) ? " exec" : " no-exec";
    if (walk.global) text += " global";
    (text += " cache=") += name(memory_types(vectors.pat)[walk.cache_slot]);
    if (walk.key) text += " key=" + std::to_string(walk.key);
    return text;
}

std::string answer(const Walk& walk, const Paging& paging, const VectorCase& vectors) {
    if (walk.outcome == Outcome::mapped) return mapped(walk, vectors);
    if (walk.outcome == Outcome::not_canonical) return "not-canonical";
    const Step& end = walk.steps.back();
    const std::string entry = end.level->entry_name, table = end.level->table_name;
    switch (walk.outcome) {
        case Outcome::not_present: return "not-present " + entry;
        case Outcome::reserved_bit:
            return "reserved-bit " + entry + ' ' + bits_with(paging, end, Role::reserved);
        case Outcome::unreadable: return "unreadable " + table + ' ' + hex(end.table.value);
        default: return "?";
    }
}

std::string path(const Walk& walk) {
    std::string text;
    for (const Step& step : walk.steps)
        text += (text.empty() ? "" : " ") + hex(step.table.value) + '[' +
                std::to_string(step.index) + ']';
    return text;
}

std::vector<std::string> notes(const Walk& walk, const Paging& paging) {
    std::vector<std::string> all;
    for (const Step& step : walk.steps) {
        if (step.kind == Kind::not_present) continue;  // SDM 4.4.1: checked where P is set
        const std::string odd = bits_with(paging, step, Role::must_be_zero_at_load);
        if (odd != "bit ") all.push_back(step.level->entry_name + (' ' + odd));
    }
    return all;
}

std::string access_answer(const Walk& walk, const VectorCase& vectors, std::string_view question) {
    const bool user = question.starts_with("user");
    const Access access = question.ends_with("read")    ? Access::read
                          : question.ends_with("write") ? Access::write
                                                        : Access::fetch;
    const Verdict v = verdict(walk, vectors.registers, vectors.state, access,
                              user ? Privilege::user : Privilege::kernel);
    switch (v.result) {
        case Verdict::Result::allowed: return "ok";
        case Verdict::Result::page_fault: return "#PF " + hex(v.error_code);
        case Verdict::Result::general_protection: return "#GP";
        case Verdict::Result::unknown: return "unknown";
    }
    return "?";
}

// All differences between the core and a case, a line each, with file and line.
std::string differences(const VectorCase& vectors) {
    FakeMemory memory;
    for (std::uint64_t page = 0; page < vector_ram; page += 4096) memory.ram(page);
    const X86Paging paging(vectors.registers);
    for (const auto& e : vectors.entries) {
        const unsigned bytes = paging.format().entry_bytes;
        memory.put(e.table + std::uint64_t{e.index} * bytes, e.raw, bytes);
    }
    std::string all;
    const auto expect = [&](int line, const std::string& what, const std::string& file_says,
                            const std::string& core_says) {
        if (file_says == core_says) return;
        all += vectors.file + ':' + std::to_string(line) + ": " + vectors.name + ": " + what +
               "\n    the file: " + file_says + "\n    the core: " + core_says + '\n';
    };
    for (const auto& q : vectors.questions) {
        const Walk walk = ptmap::walk(paging, paging.root(), {q.va}, memory);
        const std::string va = "va " + hex(q.va);
        expect(q.line, va, q.answer, answer(walk, paging, vectors));
        std::vector<std::string> noted = notes(walk, paging);
        for (const auto& detail : q.details) {
            if (detail.question == "path") {
                expect(detail.line, va + " path", detail.answer, path(walk));
            } else if (detail.question == "note") {
                if (!std::erase(noted, detail.answer))
                    expect(detail.line, va + " note", detail.answer, "no such note");
            } else {
                expect(detail.line, va + ' ' + detail.question, detail.answer,
                       access_answer(walk, vectors, detail.question));
            }
        }
        for (const std::string& note : noted) expect(q.line, va + " note", "no such note", note);
    }
    return all;
}

struct VectorFile {
    std::string path;
    std::vector<VectorCase> cases;
    std::string error;
};

const std::vector<VectorFile>& files() {
    static const std::vector<VectorFile> all = [] {
        std::vector<VectorFile> found;
        for (const auto& entry : std::filesystem::directory_iterator(PTMAP_VECTORS)) {
            if (entry.path().extension() != ".txt") continue;
            VectorFile file{entry.path().string()};
            std::ifstream in(file.path);
            try {
                file.cases = read_vectors(in, file.path);
            } catch (const VectorError& error) {
                file.error = error.what();
            }
            found.push_back(std::move(file));
        }
        std::ranges::sort(found, {}, &VectorFile::path);
        return found;
    }();
    return all;
}

std::vector<VectorCase> all_cases() {
    std::vector<VectorCase> cases;
    for (const VectorFile& file : files())
        cases.insert(cases.end(), file.cases.begin(), file.cases.end());
    return cases;
}

class Vectors : public testing::TestWithParam<VectorCase> {};
INSTANTIATE_TEST_SUITE_P(Files, Vectors, testing::ValuesIn(all_cases()), [](const auto& test) {
    return test_name(std::filesystem::path(test.param.file).stem().string() + "__" +
                     test.param.name);
});

TEST_P(Vectors, Hold) {
    const std::string found = differences(GetParam());
    EXPECT_TRUE(found.empty()) << found;
}

TEST(VectorFiles, AreAllThereAndRead) {
    std::vector<std::string> names;
    for (const VectorFile& file : files()) {
        EXPECT_EQ(file.error, "");
        EXPECT_GT(file.cases.size(), 0u) << file.path;
        names.push_back(std::filesystem::path(file.path).stem().string());
    }
    for (const char* name : {"32-bit", "32-bit-invalid", "pae", "pae-invalid", "4-level",
                             "4-level-invalid", "5-level", "5-level-invalid"})
        EXPECT_NE(std::ranges::find(names, name), names.end()) << name;
}

// What reading `text` says; nothing where it is understood.
std::string complaint(const std::string& text) {
    std::istringstream in(text);
    try {
        read_vectors(in, "f");
    } catch (const VectorError& error) {
        return error.what();
    }
    return "";
}

const std::string head =
    "# a comment\n"
    "case a\n"
    "mode 4-level\n"
    "registers cr0=0x80000001 cr3=0x1000 cr4=0x20 efer=0x500 maxphyaddr=40\n"
    "entry 0x1000[0] = 0x2007\n"
    "va 0x0: not-present PDPTE\n";

TEST(VectorFiles, UnknownWordsAreRefusedByFileAndLine) {
    EXPECT_EQ(complaint(head), "");
    EXPECT_EQ(complaint(head + "entri 0x1000[0] = 0x2007\n"), "f:7: unknown word 'entri'");
    EXPECT_EQ(complaint(head + "registers cr5=1\n"), "f:7: unknown register 'cr5'");
    EXPECT_EQ(complaint(head + "    user jump: ok\n"), "f:7: unknown question 'user jump'");
    EXPECT_EQ(complaint(head + "mode 4level\n"), "f:7: no mode '4level'");
    EXPECT_EQ(complaint(head + "entry 0x1000[512] = 0\n"), "f:7: no index 512");
    EXPECT_EQ(complaint(head + "entry 0x1000[0] = 0\n"), "f:7: this entry is there already");
    EXPECT_EQ(complaint(head + "entry 0x1000[1] = 0xg\n"), "f:7: 'g' is not a number");
    EXPECT_EQ(complaint(head + "entry 0x1000000[1] = 0\n"),
              "f:7: a table beyond the 16 MiB of RAM");
    EXPECT_EQ(complaint(head + "va 0x0 mapped\n"), "f:7: no ':' in '0x0 mapped'");
    EXPECT_EQ(complaint("va 0x0: mapped\n"), "f:1: 'va' before the first case");
    EXPECT_EQ(complaint("case a\nmode pae\n"), "f:2: case 'a' asks nothing");
    EXPECT_EQ(complaint(head + "case a\n"), "f:7: there is a case 'a' already");
    EXPECT_EQ(complaint(head + "mode 5-level\n"), "f:7: the registers of case 'a' select 4-level");
}

// The runner itself: a wrong answer, path, verdict, missing or needless note is a difference.
TEST(VectorFiles, WrongAnswersAreDifferences) {
    const auto judge = [](const std::string& text) {
        std::istringstream in(text);
        return differences(read_vectors(in, "f").front());
    };
    EXPECT_EQ(judge(head), "");
    EXPECT_EQ(judge(head + "    user read: #PF 0x4\n    path 0x1000[0] 0x2000[0]\n"), "");
    EXPECT_EQ(judge(head + "va 0x0: not-presnt PDPTE\n"),
              "f:7: a: va 0x0\n    the file: not-presnt PDPTE\n    the core: not-present PDPTE\n");
    EXPECT_NE(judge(head + "    user read: #PF 0x5\n"), "");
    EXPECT_NE(judge(head + "    path 0x1000[0]\n"), "");
    EXPECT_NE(judge(head + "    note PDPTE bit 1\n"), "");
    const std::string pae =
        "case a\nmode pae\nregisters cr0=0x80000001 cr3=0x1000 cr4=0x20\n"
        "entry 0x1000[0] = 0x2003\nva 0x0: not-present PDE\n";
    EXPECT_NE(judge(pae), "");
    EXPECT_EQ(judge(pae + "    note PDPTE bit 1\n"), "");
}

}  // namespace
}  // namespace ptmap
