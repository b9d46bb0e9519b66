// A thread of its own frees a large value: freeing millions of pieces takes longer than Ctrl-C may
// wait.
#pragma once

#include <cstddef>
#include <functional>
#include <new>
#include <utility>

namespace ptmap {

/// Does this work on a thread that gets no signals; here, if no thread can be started.
void do_apart(std::function<void()> work);

/// A container that is freed in this way if it has more than `few` elements.
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
        // Without memory for that it is freed here, as any other container.
        auto* all = new (std::nothrow) Container(std::move(static_cast<Container&>(*this)));
        if (all) do_apart([all] { delete all; });
    }
};

}  // namespace ptmap
