// Texts that leave the core in pieces, as one string. Each is made twice, with roles and without:
// the characters are the same, and the roles cover them.
#pragma once

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <string_view>

#include "text/aliases_text.h"
#include "text/diff_text.h"
#include "text/render.h"
#include "text/text.h"

namespace ptmap {

/// What is plain as it is, all else as "<address 0x1000>".
inline std::string with_roles(std::string_view text, std::span<const TextRun> runs) {
    std::string shown;
    for (const TextRun& run : runs) {
        const auto part = text.substr(0, run.length);
        EXPECT_EQ(part.size(), run.length);
        EXPECT_FALSE(part.empty());
        if (run.role == TextRole::plain)
            shown += part;
        else
            shown.append("<")
                .append(text_role_names[static_cast<std::size_t>(run.role)])
                .append(" ")
                .append(part) += '>';
        text.remove_prefix(part.size());
    }
    EXPECT_EQ(text, "") << "has no role";
    return shown;
}

/// What `put` writes to a Sink.
template <typename Put>
std::string whole(Put put, std::string* roles = nullptr) {
    std::string text, same, shown;
    put([&](std::string_view piece) { text += piece; });
    put([&](std::string_view piece, Sink::Runs runs) {
        same += piece;
        shown += with_roles(piece, runs);
    });
    EXPECT_EQ(text, same);
    if (roles) *roles = shown;
    return text;
}

/// What `put` writes to a Text.
template <typename Put>
std::string written(Put put, std::string* roles = nullptr) {
    Text plain, marked(true);
    put(plain);
    put(marked);
    EXPECT_EQ(plain.out, marked.out);
    EXPECT_TRUE(plain.runs().empty());
    const std::string shown = with_roles(marked.out, marked.runs());
    if (roles) *roles = shown;
    return plain.out;
}

inline std::string json(const Map& map, std::span<const Label> labels = {},
                        std::string_view more = {}) {
    return whole([&](const Sink& sink) { put_json(sink, map, labels, more); });
}

inline std::string ranges_text(const Map& map, std::span<const Label> labels = {}) {
    return whole([&](const Sink& sink) { put_ranges_text(sink, map, labels); });
}

inline std::string diff_text(std::span<const Difference> differences, unsigned digits,
                             const DiffLabels& labels = {}) {
    return whole([&](const Sink& sink) { put_diff_text(sink, differences, digits, labels); });
}

inline std::string diff_json(std::span<const Difference> differences) {
    return whole([&](const Sink& sink) { put_diff_json(sink, differences); });
}

inline std::string aliases_json(const Map& map, Conflict wanted, std::span<const Label> labels = {},
                                const Pulse& pulse = {}) {
    return whole([&](const Sink& sink) { put_aliases_json(sink, map, wanted, labels, pulse); });
}

}  // namespace ptmap
