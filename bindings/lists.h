// Long lists and texts for Python, piece by piece: Ctrl-C cannot end a conversion of all at once.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "paging/disposal.h"
#include "text/text.h"

/// A list of the core; an element is converted when it is asked for.
template <typename Element>
struct List {
    const std::vector<Element>* all;
};

template <typename Element>
void bind_list(pybind11::module_& m, const char* name) {
    using Elements = std::vector<Element>;
    pybind11::class_<List<Element>>(m, name, "A sequence; its elements are copies.")
        .def("__len__", [](const List<Element>& list) { return list.all->size(); })
        .def(
            "__iter__",
            [](const List<Element>& list) {
                return pybind11::make_iterator<pybind11::return_value_policy::copy>(
                    list.all->begin(), list.all->end());
            },
            pybind11::keep_alive<0, 1>())
        .def("__getitem__",
             [](const List<Element>& list, std::size_t index) {
                 if (index >= list.all->size()) throw pybind11::index_error();
                 return (*list.all)[index];
             })
        .def("__getitem__", [](const List<Element>& list, const pybind11::slice& slice) {
            std::size_t start, stop, step, count;
            if (!slice.compute(list.all->size(), &start, &stop, &step, &count))
                throw pybind11::error_already_set();
            Elements part;
            for (; count > 0; --count, start += step) part.push_back((*list.all)[start]);
            return part;
        });
}

/// The getter of a property that is such a list. The list keeps its owner alive.
template <typename Owner, typename Elements>
pybind11::cpp_function list_in(Elements Owner::*all) {
    return pybind11::cpp_function(
        [all](const Owner& owner) { return List<typename Elements::value_type>{&(owner.*all)}; },
        pybind11::keep_alive<0, 1>());
}

/// A text; a piece becomes a Python string when it is asked for.
struct TextPieces {
    ptmap::Disposed<std::vector<std::string>, 64> pieces;
    /// What each of them is made of, if roles were asked for.
    ptmap::Disposed<std::vector<std::vector<ptmap::TextRun>>, 64> runs;

    void add(std::string_view piece, std::span<const ptmap::TextRun> its_runs) {
        pieces.emplace_back(piece);
        if (!its_runs.empty()) runs.emplace_back(its_runs.begin(), its_runs.end());
    }
};

/// The long text that `put` writes to a Sink.
template <typename Put>
TextPieces pieces(Put put, bool roles = false) {
    TextPieces text;
    if (roles)
        put([&](std::string_view piece, ptmap::Sink::Runs runs) { text.add(piece, runs); });
    else
        put([&](std::string_view piece) { text.add(piece, {}); });
    return text;
}

/// The short text that `put` writes to a Text, in one piece; without a piece if it is empty.
template <typename Put>
TextPieces piece(Put put, bool roles) {
    ptmap::Text text(roles);
    put(text);
    TextPieces pieces;
    if (!text.out.empty()) pieces.add(text.out, text.runs());
    return pieces;
}
