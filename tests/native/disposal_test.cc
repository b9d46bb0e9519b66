// Large containers are freed by another thread, small ones where they are.
#include "paging/disposal.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <chrono>
#include <csignal>
#include <future>
#include <thread>
#include <utility>
#include <vector>

namespace ptmap {
namespace {

// Tells who frees it.
struct Witness {
    std::promise<std::thread::id>* by = nullptr;

    explicit Witness(std::promise<std::thread::id>* freed_by) : by(freed_by) {}
    Witness(Witness&& other) noexcept : by(std::exchange(other.by, nullptr)) {}
    ~Witness() {
        if (by) by->set_value(std::this_thread::get_id());
    }
};

using Witnesses = Disposed<std::vector<Witness>, 2>;

Witnesses with(std::promise<std::thread::id>& by, std::size_t count) {
    Witnesses all;
    all.emplace_back(&by);
    while (all.size() < count) all.emplace_back(nullptr);
    return all;
}

TEST(Disposal, OfFewIsDoneHere) {
    std::promise<std::thread::id> by;
    { const Witnesses all = with(by, 2); }
    EXPECT_EQ(by.get_future().get(), std::this_thread::get_id());
}

TEST(Disposal, OfManyIsDoneApart) {
    std::promise<std::thread::id> by;
    { const Witnesses all = with(by, 3); }
    EXPECT_NE(by.get_future().get(), std::this_thread::get_id());
}

TEST(Disposal, OfWhatIsClearedOrReplacedToo) {
    std::promise<std::thread::id> cleared, replaced;
    Witnesses all = with(cleared, 3);
    all.clear();
    EXPECT_TRUE(all.empty());
    EXPECT_NE(cleared.get_future().get(), std::this_thread::get_id());
    all = with(replaced, 3);
    all = Witnesses();
    EXPECT_NE(replaced.get_future().get(), std::this_thread::get_id());
}

TEST(Disposal, WhatMovesIsNotFreed) {
    std::promise<std::thread::id> by;
    auto freed = by.get_future();
    {
        Witnesses all = with(by, 3);
        const Witnesses other = std::move(all);
        EXPECT_EQ(other.size(), 3u);
        EXPECT_EQ(freed.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
    }
    freed.wait();
}

TEST(Disposal, NoSignalReachesItsThread) {
    std::promise<int> blocked;
    do_apart([&] {
        sigset_t mask;
        pthread_sigmask(SIG_BLOCK, nullptr, &mask);
        blocked.set_value(sigismember(&mask, SIGINT) + sigismember(&mask, SIGCHLD));
    });
    EXPECT_EQ(blocked.get_future().get(), 2);
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    EXPECT_EQ(sigismember(&mask, SIGINT), 0);
}

}  // namespace
}  // namespace ptmap
