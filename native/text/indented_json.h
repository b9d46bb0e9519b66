// JSON with each element on a line of its own.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/text.h"

namespace ptmap {

/// Writes objects and lists with a space of indent for each that an element is in, as Python's
/// json.dumps(value, indent=1) does.
class IndentedJson {
public:
    explicit IndentedJson(std::string& out) : out_(out) {}

    /// The name of an object's next member; its value comes next.
    IndentedJson& key(std::string_view name) {
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
        if (!first_) out_ += ',';
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
    void line() { out_.append(1, '\n').append(depth_, ' '); }

    std::string& out_;
    std::size_t depth_ = 0;
    bool first_ = true;       // of the innermost object or list nothing is written yet
    bool after_key_ = false;  // what comes next is a member's value
};

}  // namespace ptmap
