// Large values are freed by a thread of their own: to free millions of pieces takes longer than
// Ctrl-C may go unheard.
#pragma once

#include <cstddef>
#include <functional>
#include <new>
#include <utility>

namespace ptmap {

/// Does this work on a thread that gets no signals, or here if there can be no more threads.
void do_apart(std::function<void()> work);

/// A container that is freed so if it has more than FEW elements. Nothing else is different.
template <typename Container, std::size_t few = 1 << 14>
class Disposed : public Container {
public:
    using Container::Container;
    Disposed() = default;
    Disposed(Container&& all) : Container(std::move(all)) {}
    Disposed(const Disposed&) = default;
    Disposed(Disposed&&) = default;
    Disposed& operator=(const Disposed&) = default;
    Disposed& operator=(Disposed&& other) {
        free();
        Container::operator=(std::move(other));
        return *this;
    }
    ~Disposed() { free(); }

    void clear() {
        free();
        Container::clear();
    }

private:
    void free() {
        if (this->size() <= few) return;
        // Without memory for that it stays, and is freed as any other.
        auto* all = new (std::nothrow) Container(std::move(static_cast<Container&>(*this)));
        if (all) do_apart([all] { delete all; });
    }
};

}  // namespace ptmap
