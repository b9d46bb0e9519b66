#include "space/condition.h"

#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "arch/memory_type.h"
#include "bind.h"
#include "page_sizes.h"
#include "text/attributes_text.h"
#include "truth.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

// A ConditionError with a copy of its text.
struct BadCondition {
    ConditionError error;
    std::string part;
};

// A str may have surrogates, for a terminal's bytes that are not UTF-8.
constexpr const char* lone_surrogates = "surrogatepass";

py::str str_of(const std::string& utf8) {
    PyObject* made =
        PyUnicode_DecodeUTF8(utf8.data(), static_cast<py::ssize_t>(utf8.size()), lone_surrogates);
    if (!made) throw py::error_already_set();
    return py::reinterpret_steal<py::str>(made);
}

std::variant<Condition, BadCondition> parse(const py::str& given) {
    const std::string text = py::bytes(given.attr("encode")("utf-8", lone_surrogates));
    const auto parsed = parse_condition(text);
    if (const auto* condition = std::get_if<Condition>(&parsed)) return *condition;
    const auto& error = std::get<ConditionError>(parsed);
    return BadCondition{error, text.substr(error.offset, error.length)};
}

std::vector<std::string_view> names(const std::vector<Rights>& rights) {
    std::vector<std::string_view> all;
    for (const Rights right : rights) all.push_back(name(right));
    return all;
}

PageAttributes make_page(const Walk& walk, std::optional<std::uint64_t> pat) {
    if (walk.outcome != Outcome::mapped) throw py::value_error("it is not mapped");
    return page_attributes(walk, memory_types(pat));
}

}  // namespace

void bind_condition(py::module_& m) {
    py::class_<PageAttributes>(m, "PageAttributes", "One page, without its place.")
        .def(py::init(&make_page), py::arg("walk"), py::arg("pat"))
        .def("__str__", &page_words, "As \"user read exec, 4K, WB\".");

    py::class_<Condition>(m, "Condition", "A text of the vocabulary of attributes, parsed.")
        .def(
            "holds",
            [](const Condition& c, const PageAttributes& page) {
                return bool_of(truth(c.terms, page.attributes, page.page_size));
            },
            py::arg("page"), "None if the memory type decides and is not known.")
        .def_property_readonly(
            "rights_asked", [](const Condition& c) { return names(c.rights_asked); },
            "That the first term says are there, as its words come.")
        .def_property_readonly(
            "rights_named", [](const Condition& c) { return names(c.rights_named); },
            "That any word is about, as they come.")
        .def_property_readonly("names_page_size", &Condition::names_page_size);

    py::class_<BadCondition>(m, "ConditionError", "Why a text is no condition.")
        .def_property_readonly("is_contradiction",
                               [](const BadCondition& bad) {
                                   return bad.error.what == ConditionError::What::contradiction;
                               })
        .def_property_readonly(
            "part", [](const BadCondition& bad) { return str_of(bad.part); },
            "The unknown word, or the term that contradicts itself.");

    m.def("parse_condition", &parse, py::arg("text"));
    m.def("condition_words", &condition_words, "All words, as they are listed for people.");
    m.def(
        "page_size_names",
        [](unsigned sizes) {
            std::vector<std::string_view> all;
            each_size_name(sizes_of(sizes), [&](std::string_view one) { all.push_back(one); });
            return all;
        },
        py::arg("sizes") = bits_of(PageSizes::all()), "Of a set of page sizes (Range.page_sizes).");
}
