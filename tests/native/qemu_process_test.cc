// Reads of another process, and of a file, as the sources for a QEMU next door do them. The
// process is this one, or a child of it; its "physical memory" is pages that the test maps.
#include "sources/qemu_process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstring>
#include <thread>

#include "fake_memory.h"
#include "sources/gone.h"
#include "sources/interrupt.h"
#include "sources/ram_file.h"

namespace ptmap {
namespace {

constexpr std::size_t page = 4096;

// Pages of this process, each filled with its own number.
class Pages {
public:
    explicit Pages(std::size_t count)
        : count_(count),
          at_(static_cast<std::byte*>(mmap(nullptr, count * page, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
        for (std::size_t i = 0; i < count; ++i)
            std::memset(at_ + i * page, static_cast<int>(i % 251 + 1), page);
    }
    ~Pages() { munmap(at_, count_ * page); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;

    std::uint64_t address() const { return reinterpret_cast<std::uint64_t>(at_); }
    void hide(std::size_t index) { mprotect(at_ + index * page, page, PROT_NONE); }
    void unmap(std::size_t index) { munmap(at_ + index * page, page); }
    /// As physical memory from 0.
    std::vector<RamBlock> ram() const { return {{{{0}, {count_ * page - 1}}, address()}}; }

private:
    std::size_t count_;
    std::byte* at_;
};

// Reads of one page each, or of other lengths.
struct Reads {
    std::vector<std::vector<std::byte>> buffers;
    std::vector<Fetch> fetches;

    void add(std::uint64_t address, std::size_t length = page) {
        buffers.emplace_back(length);
        fetches.push_back({{address}, buffers.back()});
    }
    // Whether a read is ok and has `length` bytes of the page with this number from `from` on.
    bool has(std::size_t read, std::size_t number, std::size_t from, std::size_t length) const {
        const auto bytes = std::span(buffers[read]).subspan(from, length);
        return fetches[read].ok && std::ranges::all_of(bytes, [&](std::byte b) {
                   return b == static_cast<std::byte>(number % 251 + 1);
               });
    }
    bool is_page(std::size_t read, std::size_t number) const { return has(read, number, 0, page); }
};

TEST(QemuProcessTest, ManyReadsAreFewCalls) {
    const std::size_t count = 2 * IOV_MAX + 100;
    Pages pages(count);
    QemuProcess process(getpid(), pages.ram());
    Reads reads;
    for (std::size_t i = 0; i < count; ++i) reads.add((count - 1 - i) * page);
    process.fetch(reads.fetches);
    for (std::size_t i = 0; i < count; ++i) EXPECT_TRUE(reads.is_page(i, count - 1 - i)) << i;
    EXPECT_EQ(process.requests(), 3u);
}

TEST(QemuProcessTest, ReadsOfAllLengths) {
    Pages pages(3);
    QemuProcess process(getpid(), pages.ram());
    Reads reads;
    reads.add(8, 0);
    reads.add(0xff8, 8);
    reads.add(0xffc, 8);
    reads.add(0, 3 * page);
    process.fetch(reads.fetches);
    EXPECT_TRUE(reads.fetches[0].ok);
    EXPECT_TRUE(reads.has(1, 0, 0, 8));
    EXPECT_TRUE(reads.has(2, 0, 0, 4) && reads.has(2, 1, 4, 4));
    EXPECT_TRUE(reads.has(3, 2, 2 * page, page));
    EXPECT_EQ(process.requests(), 1u);
}

TEST(QemuProcessTest, OneReadOverTwoBlocks) {
    Pages low(1), high(5);
    QemuProcess process(
        getpid(), {{0, page - 1, low.address()}, {page, 2 * page - 1, high.address() + 4 * page}});
    Reads reads;
    reads.add(page - 16, 32);
    process.fetch(reads.fetches);
    EXPECT_TRUE(reads.has(0, 0, 0, 16));
    EXPECT_TRUE(reads.has(0, 4, 16, 16));
}

TEST(QemuProcessTest, WhatIsNotRamIsNotRead) {
    Pages pages(4);
    QemuProcess process(getpid(), {{page, 2 * page - 1, pages.address() + page}});
    Reads reads;
    reads.add(0);
    reads.add(page);
    reads.add(2 * page);
    reads.add(page + 8, page);
    process.fetch(reads.fetches);
    EXPECT_TRUE(reads.is_page(1, 1));
    for (const std::size_t other : {0, 2, 3}) {
        EXPECT_FALSE(reads.fetches[other].ok);
        EXPECT_EQ(reads.fetches[other].why, "not RAM");
    }
    EXPECT_EQ(process.requests(), 1u);
}

// A transfer ends at the first page that cannot be read. That read has the reason, the others are
// read, wherever it stands among them.
class PartialTest : public ::testing::TestWithParam<std::vector<std::size_t>> {};

TEST_P(PartialTest, OnlyWhatCannotBeReadFails) {
    constexpr std::size_t count = 40;
    Pages pages(count);
    for (const std::size_t index : GetParam()) index % 2 ? pages.hide(index) : pages.unmap(index);
    const auto is_bad = [&](std::size_t i) { return std::ranges::count(GetParam(), i) > 0; };
    QemuProcess process(getpid(), pages.ram());
    Reads reads;
    for (std::size_t i = 0; i < count; ++i) reads.add(i * page);
    process.fetch(reads.fetches);
    for (std::size_t i = 0; i < count; ++i) {
        EXPECT_EQ(reads.fetches[i].ok, !is_bad(i)) << i;
        if (is_bad(i))
            EXPECT_EQ(reads.fetches[i].why, "not mapped in the QEMU process");
        else
            EXPECT_TRUE(reads.is_page(i, i)) << i;
    }
    EXPECT_LE(process.requests(), 1 + 2 * GetParam().size());
}

std::vector<std::size_t> all_of_them() {
    std::vector<std::size_t> all(40);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
    return all;
}

INSTANTIATE_TEST_SUITE_P(Places, PartialTest,
                         ::testing::Values(std::vector<std::size_t>{}, std::vector<std::size_t>{0},
                                           std::vector<std::size_t>{1},
                                           std::vector<std::size_t>{17, 18, 30},
                                           std::vector<std::size_t>{38, 39},
                                           std::vector<std::size_t>{0, 2, 4, 39}, all_of_them()));

TEST(QemuProcessTest, ATransferThatEndsInsideARead) {
    Pages pages(8);
    pages.hide(3);
    QemuProcess process(getpid(), pages.ram());
    Reads reads;
    reads.add(0);
    reads.add(page, 4 * page);  // its third page is hidden
    reads.add(2 * page + 8, page - 8);
    reads.add(3 * page - 4, 8);  // half of it
    reads.add(7 * page);
    process.fetch(reads.fetches);
    EXPECT_TRUE(reads.is_page(0, 0));
    EXPECT_FALSE(reads.fetches[1].ok);
    EXPECT_TRUE(reads.has(2, 2, 0, page - 8));
    EXPECT_FALSE(reads.fetches[3].ok);
    EXPECT_TRUE(reads.is_page(4, 7));
}

// A child that waits until it is killed.
class Child {
public:
    Child() : pid_(fork()) {
        if (pid_ == 0)
            for (;;) pause();
    }
    ~Child() { end(); }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    pid_t pid() const { return pid_; }
    void kill() { ::kill(pid_, SIGKILL); }
    void end() {
        if (pid_ <= 0) return;
        kill();
        waitpid(pid_, nullptr, 0);
        pid_ = 0;
    }

private:
    pid_t pid_;
};

TEST(QemuProcessTest, AProcessThatEnds) {
    Pages pages(2);
    Child child;
    const pid_t pid = child.pid();
    QemuProcess process(pid, pages.ram());
    Reads reads;
    reads.add(page);
    process.fetch(reads.fetches);
    EXPECT_TRUE(reads.is_page(0, 1));
    child.end();
    try {
        process.fetch(reads.fetches);
        FAIL() << "read a process that has ended";
    } catch (const SourceGone& gone) {
        EXPECT_EQ(gone.what(), "QEMU process " + std::to_string(pid) + " has ended");
    }
}

TEST(QemuProcessTest, AProcessThatEndsDuringReads) {
    Pages pages(16);
    Child child;
    QemuProcess process(child.pid(), pages.ram());
    Reads reads;
    for (std::size_t i = 0; i < 16; ++i) reads.add(i * page);
    std::jthread killer([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        child.kill();
    });
    // Until nobody has waited for it, it is there and has no memory.
    EXPECT_THROW(
        for (;;) {
            process.fetch(reads.fetches);
            for (std::size_t i = 0; i < 16; ++i)
                EXPECT_TRUE(reads.is_page(i, i) || !reads.fetches[i].ok);
        },
        SourceGone);
}

TEST(QemuProcessTest, CtrlC) {
    Pages pages(1);
    QemuProcess process(getpid(), pages.ram());
    Reads reads;
    reads.add(0);
    sigset_t interrupt, before;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &before);
    raise(SIGINT);
    EXPECT_THROW(process.fetch(reads.fetches), Interrupted);
    int number = 0;
    sigwait(&interrupt, &number);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    process.fetch(reads.fetches);
    EXPECT_TRUE(reads.is_page(0, 0));
}

// Pages in a memfd, each filled with its own number.
class File {
public:
    explicit File(std::size_t count) : descriptor_(memfd_create("ram", MFD_CLOEXEC)) {
        for (std::size_t i = 0; i < count; ++i) {
            const std::vector<std::byte> bytes(page, static_cast<std::byte>(i % 251 + 1));
            EXPECT_EQ(write(descriptor_, bytes.data(), page), ssize_t{page});
        }
    }
    ~File() { close(descriptor_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    int descriptor() const { return descriptor_; }

private:
    int descriptor_;
};

TEST(RamFileTest, ReadsAndTheRest) {
    File file(8);
    FakeMemory rest;
    rest.put(0x100000, 0x1234, 8);
    RamFile memory(file.descriptor(), {{0, 2 * page - 1, 2 * page}, {4 * page, 5 * page - 1, 0}},
                   rest);
    Reads reads;
    reads.add(page);
    reads.add(0x100000, 8);
    reads.add(4 * page + 100, 50);
    reads.add(2 * page - 8, 16);  // half of it: the rest knows what lies around
    memory.fetch(reads.fetches);
    EXPECT_TRUE(reads.is_page(0, 3));
    ASSERT_TRUE(reads.fetches[1].ok);
    std::uint64_t value = 0;
    std::memcpy(&value, reads.buffers[1].data(), 8);
    EXPECT_EQ(value, 0x1234u);
    EXPECT_TRUE(reads.has(2, 0, 0, 50));
    EXPECT_FALSE(reads.fetches[3].ok);
    EXPECT_EQ(reads.fetches[3].why, "not RAM");
    EXPECT_EQ(rest.reads().size(), 2u);
    EXPECT_EQ(memory.requests(), 2u);
}

// No SIGBUS: what was cut off has a reason.
TEST(RamFileTest, AFileCutShort) {
    File file(8);
    FakeMemory rest;
    RamFile memory(file.descriptor(), {{0, 8 * page - 1, 0}}, rest);
    ASSERT_EQ(ftruncate(file.descriptor(), 3 * page + 100), 0);
    Reads reads;
    reads.add(2 * page);
    reads.add(3 * page);
    reads.add(3 * page, 100);
    reads.add(7 * page);
    memory.fetch(reads.fetches);
    EXPECT_TRUE(reads.is_page(0, 2));
    EXPECT_TRUE(reads.has(2, 3, 0, 100));
    for (const std::size_t cut : {1, 3}) {
        EXPECT_FALSE(reads.fetches[cut].ok);
        EXPECT_EQ(reads.fetches[cut].why, "the RAM file ends before it");
    }
}

TEST(RamFileTest, WhatCannotBeRead) {
    FakeMemory rest;
    EXPECT_THROW(RamFile(-1, {}, rest), std::system_error);
    const int descriptor = open("/dev/null", O_WRONLY | O_CLOEXEC);
    RamFile memory(descriptor, {{0, page - 1, 0}}, rest);
    close(descriptor);  // it has its own
    Reads reads;
    reads.add(0);
    memory.fetch(reads.fetches);
    EXPECT_FALSE(reads.fetches[0].ok);
    EXPECT_EQ(reads.fetches[0].why, "the RAM file: Bad file descriptor");
}

}  // namespace
}  // namespace ptmap
