// Texts about a space.
#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include "bind.h"
#include "lists.h"
#include "paging/scan.h"
#include "space/grid.h"
#include "text/grid_text.h"
#include "text/overview_text.h"
#include "text/summary_text.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

Mode mode_of(std::string_view word) {
    const auto mode = mode_named(word);
    if (!mode) throw py::value_error("mode: off, 32-bit, pae, 4-level or 5-level");
    return *mode;
}

// What a piece is made of: (role, characters) each.
std::vector<std::pair<std::string_view, std::string_view>> spans(const TextPieces& text,
                                                                 std::size_t index) {
    if (index >= text.pieces.size()) throw py::index_error();
    std::string_view rest = text.pieces[index];
    if (text.runs.empty()) return {{text_role_names[0], rest}};
    std::vector<std::pair<std::string_view, std::string_view>> spans;
    for (const TextRun& run : text.runs[index]) {
        spans.emplace_back(text_role_names[static_cast<std::size_t>(run.role)],
                           rest.substr(0, run.length));
        rest.remove_prefix(run.length);
    }
    return spans;
}

std::optional<Half> half_of(const std::optional<std::string_view>& word) {
    if (!word) return std::nullopt;
    for (const Half half : {Half::kernel, Half::user})
        if (*word == ptmap::name(half)) return half;
    throw py::value_error("half: kernel or user");
}

TextPieces head_text(std::string_view mode, std::uint64_t root,
                     const std::optional<std::string_view>& half, bool is_linux,
                     const std::vector<std::string>& notes, bool roles) {
    const SpaceHead head{mode_of(mode), {root}, half_of(half), is_linux, notes};
    return piece([&](Text& text) { put_head(text, head); }, roles);
}

TextPieces split_text(std::uint64_t split, bool roles) {
    return piece([&](Text& text) { put_split(text, {split}); }, roles);
}

TextPieces kpti_text(const KptiShare& share, std::uint64_t kernel, std::uint64_t user,
                     std::string_view half, bool roles) {
    const KptiRoots roots{{kernel}, {user}};
    return piece([&](Text& text) { put_kpti(text, share, roots, *half_of(half)); }, roles);
}

TextPieces counts_text(const Map& map, bool roles) {
    return piece([&](Text& text) { put_counts(text, map); }, roles);
}

TextPieces missing_text(const Map& map, bool tables_cut, std::size_t indent, bool roles) {
    return piece([&](Text& text) { put_missing(text, map, {tables_cut, indent}); }, roles);
}

TextPieces missing_json(const Map& map, bool indented) {
    const JsonLayout layout = indented ? JsonLayout::indented : JsonLayout::one_line;
    return piece([&](Text& text) { put_missing_json(text, map, layout); }, false);
}

void bind_summary(py::module_& m) {
    m.def("head_text", &head_text, py::arg("mode"), py::arg("root"), py::arg("half"),
          py::arg("is_linux"), py::arg("notes"), py::arg("roles") = false);
    m.def("split_text", &split_text, py::arg("split"), py::arg("roles") = false);
    m.def("kpti_text", &kpti_text, py::arg("share"), py::arg("kernel"), py::arg("user"),
          py::arg("half"), py::arg("roles") = false);
    m.def("counts_text", &counts_text, py::arg("map"), py::arg("roles") = false);
    m.def("missing_text", &missing_text, py::arg("map"), py::arg("tables_cut"),
          py::arg("indent") = 0, py::arg("roles") = false);
    m.def("missing_json", &missing_json, py::arg("map"), py::arg("indented") = false);
}

void bind_views(py::module_& m) {
    m.def(
        "grid_text",
        [](const Paging& paging, const Grid& grid, std::size_t width, bool roles) {
            return piece([&](Text& text) { put_grid(text, paging, grid, width); }, roles);
        },
        py::arg("paging"), py::arg("grid"), py::arg("width") = 0, py::arg("roles") = false);
    m.def(
        "parts_text",
        [](const Map& map, const std::vector<Label>& labels, const std::vector<Label>& parts,
           const Pulse& pulse, bool roles) {
            return piece([&](Text& text) { put_parts(text, map, labels, parts, pulse); }, roles);
        },
        py::arg("map"), py::arg("labels"), py::arg("parts"), py::arg("pulse") = Pulse{},
        py::arg("roles") = false);
    m.def(
        "overview_text",
        [](const Tables& tables, const Map& map, const std::vector<Label>& labels,
           std::size_t width, std::size_t height, std::size_t other_lines, const Pulse& pulse,
           bool roles) {
            const Screen screen{width, height, other_lines};
            return piece(
                [&](Text& text) { put_overview(text, tables, map, labels, screen, pulse); }, roles);
        },
        py::arg("tables"), py::arg("map"), py::arg("labels"), py::kw_only(), py::arg("width"),
        py::arg("height"), py::arg("other_lines"), py::arg("pulse") = Pulse{},
        py::arg("roles") = false);
}

}  // namespace

void bind_text(py::module_& m) {
    py::class_<TextPieces>(m, "Text", "A text in pieces, which are 64 KiB if it is long.")
        .def("__len__", [](const TextPieces& text) { return text.pieces.size(); })
        .def(
            "__iter__",
            [](const TextPieces& text) {
                return py::make_iterator(text.pieces.begin(), text.pieces.end());
            },
            py::keep_alive<0, 1>())
        .def("spans", &spans, py::arg("piece"),
             "(role, characters) that make a piece; all of it is plain without roles.");
    m.def("short_size", &short_size, py::arg("bytes"));
    m.def("size_words", &size_words, py::arg("bytes"));
    bind_summary(m);
    bind_views(m);
}
