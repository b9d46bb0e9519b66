// A value for each node of Tables.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "paging/disposal.h"

namespace ptmap {

/// A value for each node. Values are made in groups of neighbours, when one of a group is first
/// asked for: a space may have millions of nodes, most are never asked for, and making all takes
/// long.
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
