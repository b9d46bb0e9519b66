// What is known of each node of a Space.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "paging/disposal.h"

namespace ptmap {

/// A value for each node, made with its neighbours' when one of them is asked for: of a space with
/// millions of nodes much may never be, and all at once would take long.
template <typename Value>
class PerNode {
public:
    Value& operator[](std::size_t node) {
        if (node / size >= parts_.size()) parts_.resize(node / size + 1);
        std::unique_ptr<Part>& part = parts_[node / size];
        if (!part) part = std::make_unique<Part>();
        return (*part)[node % size];
    }

private:
    static constexpr std::size_t size = 256;
    using Part = std::array<Value, size>;
    Disposed<std::vector<std::unique_ptr<Part>>, 64> parts_;
};

}  // namespace ptmap
