// JSON as Python writes it, on one line or with each element on a line of its own.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/text.h"

namespace ptmap {

/// Where an element stands: on a line of its own, with a space of indent for each object or list
/// that it is in (json.dumps(value, indent=1)), or all on one line (json.dumps(value)).
enum class JsonLayout : std::uint8_t { indented, one_line };

/// Writes objects and lists.
class JsonWriter {
public:
    explicit JsonWriter(std::string& out, JsonLayout layout = JsonLayout::indented)
        : out_(out), layout_(layout) {}

    /// What comes next are members of an outermost object that has some already.
    void go_on() {
        depth_ = 1;
        first_ = false;
    }

    /// The name of an object's next member; its value comes next.
    JsonWriter& key(std::string_view name) {
        element();
        put_quoted(out_, name);
        out_ += ": ";
        after_key_ = true;
        return *this;
    }
    /// An object, whose members `put` writes, and a list with its elements.
    template <std::invocable Put>
    void object(Put put) {
        nested('{', put, '}');
    }
    template <std::invocable Put>
    void list(Put put) {
        nested('[', put, ']');
    }
    void text(std::string_view value) {
        element();
        put_quoted(out_, value);
    }
    void hex(std::uint64_t value) { text(ptmap::hex(value)); }
    void number(std::uint64_t value) { raw(std::to_string(value)); }
    void boolean(bool value) { raw(value ? "true" : "false"); }
    void null() { raw("null"); }
    /// A value that is JSON already, in the same layout.
    void json(std::string_view value) {
        element();
        for (const char c :
             value) {  // a line break is between values only: in strings it is escaped
            if (c == '\n')
                line();
            else
                out_ += c;
        }
    }

private:
    // A value, or an object's key, begins.
    void element() {
        if (after_key_ || depth_ == 0) {
            after_key_ = false;
            return;
        }
        if (!first_) out_ += layout_ == JsonLayout::one_line ? ", " : ",";
        line();
        first_ = false;
    }
    void raw(std::string_view value) {
        element();
        out_ += value;
    }
    template <typename Put>
    void nested(char open, Put put, char close) {
        element();
        out_ += open;
        ++depth_;
        first_ = true;
        put();
        --depth_;
        if (!first_) line();
        out_ += close;
        first_ = false;
    }
    void line() {
        if (layout_ == JsonLayout::indented) out_.append(1, '\n').append(depth_, ' ');
    }

    std::string& out_;
    JsonLayout layout_;
    std::size_t depth_ = 0;
    bool first_ = true;       // of the innermost object or list nothing is written yet
    bool after_key_ = false;  // what comes next is a member's value
};

}  // namespace ptmap
