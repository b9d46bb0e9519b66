// What is wrong with an image, in phrases for people.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ptmap::elf {

/// Phrases, each once, in the order in which they were added.
class Problems {
public:
    void add(std::string_view phrase) {
        if (std::ranges::find(phrases_, phrase) == phrases_.end()) phrases_.emplace_back(phrase);
    }

    std::vector<std::string> take() { return std::move(phrases_); }

private:
    std::vector<std::string> phrases_;
};

}  // namespace ptmap::elf
