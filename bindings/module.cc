// ptmap._core: the core for Python. It converts and decides nothing.
//
// Conventions: addresses and sizes are Python ints, modes, outcomes and reasons are the core's
// own words, memory is a PhysicalMemory or a callable (memory.h).
#include <pybind11/functional.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "core/access.h"
#include "core/grid.h"
#include "core/labels.h"
#include "core/leaves.h"
#include "core/map.h"
#include "core/overview.h"
#include "core/render.h"
#include "core/scan.h"
#include "core/text.h"
#include "core/walk.h"
#include "diff.h"
#include "elf.h"
#include "find.h"
#include "memory.h"
#include "query.h"
#include "ranges.h"
#include "snapshot.h"
#include "sources.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

std::string_view name(Kind kind) {
    static constexpr std::string_view names[]{"not-present", "table", "page", "malformed"};
    return names[static_cast<std::size_t>(kind)];
}

std::string_view name(Verdict::Result result) {
    static constexpr std::string_view names[]{"allowed", "#PF", "#GP", "unknown"};
    return names[static_cast<std::size_t>(result)];
}

Access access_named(std::string_view word) {
    if (word == "read") return Access::read;
    if (word == "write") return Access::write;
    if (word == "fetch") return Access::fetch;
    throw py::value_error("access: read, write or fetch");
}

Privilege privilege_named(std::string_view word) {
    if (word == "kernel") return Privilege::kernel;
    if (word == "user") return Privilege::user;
    throw py::value_error("privilege: kernel or user");
}

// A Rights as Python sees it wherever it is an attribute of something.
template <typename Class>
void def_rights(py::class_<Class>& c) {
    c.def_property_readonly("user", [](const Class& o) { return has(o.rights, Rights::user); })
        .def_property_readonly("write", [](const Class& o) { return has(o.rights, Rights::write); })
        .def_property_readonly("exec", [](const Class& o) { return has(o.rights, Rights::exec); });
}

Paging make_paging(std::uint64_t cr0, std::uint64_t cr3, std::uint64_t cr4, std::uint64_t efer,
                   unsigned maxphyaddr) {
    const ControlRegisters registers{cr0, cr3, cr4, efer, maxphyaddr};
    if (paging_mode(registers) == Mode::off) throw py::value_error("paging is off");
    return Paging(registers);
}

Wanted make_wanted(unsigned rights_set, unsigned rights_clear, std::optional<bool> global,
                   std::uint8_t sizes_any, std::uint8_t sizes_none, bool large,
                   std::optional<std::vector<std::string>> types) {
    Wanted wanted{static_cast<Rights>(rights_set),
                  static_cast<Rights>(rights_clear),
                  global,
                  sizes_any,
                  sizes_none,
                  large};
    if (!types) return wanted;
    wanted.types = 0;
    for (unsigned t = 0; t <= static_cast<unsigned>(MemoryType::invalid); ++t)
        for (const std::string& word : *types)
            if (word == ptmap::name(static_cast<MemoryType>(t))) wanted.types |= 1u << t;
    return wanted;
}

Map map_of(const Space& space, std::uint64_t first, std::uint64_t last, bool split_physical,
           bool split_sizes, std::optional<std::uint64_t> pat, std::optional<std::string> as,
           bool ac, std::vector<Wanted> wanted, std::size_t max_ranges,
           const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ram, const Pulse& pulse) {
    MapOptions options;
    for (const auto& [begin, end] : ram) options.ram.push_back({{begin}, {end}});
    options.window = {first, last};
    options.split_physical = split_physical;
    options.split_sizes = split_sizes;
    options.types = memory_types(pat);
    if (as) options.as = privilege_named(*as);
    options.ac = ac;
    options.wanted = std::move(wanted);
    options.max_ranges = max_ranges;
    options.pulse = pulse;
    return make_map(space, options);
}

}  // namespace

PYBIND11_MODULE(_core, m) {
    m.doc() = "ptmap's page-table walker; see the headers in native/core.";

    bind_memory(m);
    constexpr auto no_limit = std::numeric_limits<std::uint64_t>::max();

    py::class_<PagingLevel>(m, "Level")
        .def_property_readonly("number", [](const PagingLevel& l) { return l.level->number; })
        .def_property_readonly("table_name",
                               [](const PagingLevel& l) { return l.level->table_name; })
        .def_property_readonly("entry_name",
                               [](const PagingLevel& l) { return l.level->entry_name; })
        .def_property_readonly("entry_span", &PagingLevel::entry_span)
        .def_property_readonly("table_span", &PagingLevel::table_span)
        .def_property_readonly("entries", &PagingLevel::entries);

    py::class_<Paging>(m, "Paging")
        .def(py::init(&make_paging), py::arg("cr0"), py::arg("cr3"), py::arg("cr4"),
             py::arg("efer"), py::arg("maxphyaddr"))
        .def_property_readonly("mode", [](const Paging& p) { return ptmap::name(p.format().mode); })
        .def_property_readonly("va_bits", [](const Paging& p) { return p.format().va_bits; })
        .def_property_readonly("canonical", [](const Paging& p) { return p.format().canonical; })
        .def_property_readonly("entry_bytes",
                               [](const Paging& p) { return p.format().entry_bytes; })
        .def_property_readonly(
            "levels",
            [](const Paging& p) {
                return std::vector<PagingLevel>(p.levels().begin(), p.levels().end());
            },
            "Root first.")
        .def_property_readonly("last_offset", &Paging::last_offset)
        .def_property_readonly("upper_part", &Paging::upper_part)
        .def("root_of", [](const Paging& p, std::uint64_t cr3) { return p.root_of(cr3).value; })
        .def("translatable", [](const Paging& p, std::uint64_t va) { return p.translatable({va}); })
        .def("offset_of", [](const Paging& p, std::uint64_t va) { return p.offset_of({va}); })
        .def("address_of",
             [](const Paging& p, std::uint64_t offset) { return p.address_of(offset).value; })
        .def(
            "decode",
            [](const Paging& p, unsigned level, std::uint64_t raw) {
                if (p.position(level) < 0) throw py::value_error("no such level");
                py::list fields;
                for (const NamedBits& b : p.decode(p.levels()[p.position(level)], raw)) {
                    const char* meaning = b.role == Role::reserved               ? "reserved"
                                          : b.role == Role::must_be_zero_at_load ? "load"
                                          : b.role == Role::ignored              ? "ignored"
                                                                                 : "used";
                    fields.append(py::make_tuple(bit_name(b), meaning, b.value));
                }
                return fields;
            },
            "The fields of a present entry of a level (1 is PT) that are not 0: (name, meaning, "
            "value) each, meaning "
            "being used, ignored, reserved, or load (reserved, checked by MOV CR3 only).");

    py::class_<Step> step(m, "Step", "One entry on the way of a Walk.");
    step.def_property_readonly("level", [](const Step& s) { return s.level->number; })
        .def_property_readonly("entry_name", [](const Step& s) { return s.level->entry_name; })
        .def_property_readonly("table", [](const Step& s) { return s.table.value; })
        .def_readonly("index", &Step::index)
        .def_property_readonly("entry_address", [](const Step& s) { return s.entry_address.value; })
        .def_readonly("raw", &Step::raw)
        .def_property_readonly("kind", [](const Step& s) { return name(s.kind); })
        .def_property_readonly(
            "target", [](const Step& s) { return s.target.value; },
            "The address that a table or page entry holds.");
    def_rights(step);

    py::class_<Walk> walk_class(m, "Walk",
                                "One address, root to leaf, as the processor translates it.");
    walk_class.def_property_readonly("va", [](const Walk& w) { return w.va.value; })
        .def_property_readonly(
            "outcome", [](const Walk& w) { return ptmap::name(w.outcome); },
            "mapped, not-present, reserved-bit, not-canonical or unreadable.")
        .def_readonly("steps", &Walk::steps, "Root first; the last is where the walk ended.")
        .def_readonly("why", &Walk::why, "What the memory said, where it is unreadable.")
        .def_property_readonly(
            "pa",
            [](const Walk& w) {
                if (w.outcome != Outcome::mapped) throw py::value_error("it is not mapped");
                return w.pa.value;
            },
            "The physical address of `va` itself. ValueError where it is not mapped.")
        .def_readonly("page_size", &Walk::page_size, "Bytes; 0 where it is not mapped.")
        .def_property_readonly("global_", [](const Walk& w) { return w.global; })
        .def_property_readonly(
            "rights",
            [](const Walk& w) {
                return w.outcome == Outcome::mapped
                           ? rights_text({.rights = w.rights, .global = w.global})
                           : std::string();
            },
            "As \"ur-xg\"; empty where it is not mapped.")
        .def_readonly("cache_slot", &Walk::cache_slot, "Of IA32_PAT, 0 to 7.")
        .def_readonly("key", &Walk::key, "The protection key, 0 where keys are off.");
    walk_class.def("__repr__", [](const Walk& w) {
        std::string text = "<ptmap.Walk ";
        put_hex(text, w.va.value);
        return text.append(": ").append(ptmap::name(w.outcome)) + ">";
    });
    def_rights(walk_class);

    m.def(
        "walk",
        [](const Paging& paging, std::uint64_t root, std::uint64_t va, const py::object& given) {
            MemoryArgument memory(given);
            return walk(paging, {root}, {va}, *memory);
        },
        py::arg("paging"), py::arg("root"), py::arg("va"), py::arg("memory"));

    m.def(
        "verdict",
        [](const Walk& w, const Paging& paging, std::string_view access, std::string_view privilege,
           bool ac, std::optional<std::uint32_t> pkru) {
            const Verdict v = verdict(w, paging.registers(), {ac, pkru}, access_named(access),
                                      privilege_named(privilege));
            return py::make_tuple(name(v.result), text(v.reason), v.error_code, v.pk_unknown);
        },
        py::arg("walk"), py::arg("paging"), py::arg("access"), py::arg("privilege"),
        py::arg("ac") = false, py::arg("pkru") = py::none(),
        "(allowed | #PF | #GP | unknown, reason, error code, whether its PK bit is not known)");

    py::class_<Space>(m, "Space")
        .def_property_readonly("root", [](const Space& s) { return s.root().value; })
        .def_property_readonly("tables", &Space::tables)
        .def_property_readonly("cut", &Space::cut);

    m.def(
        "scan",
        [](const Paging& paging, std::uint64_t root, const py::object& given, std::uint64_t first,
           std::uint64_t last, std::size_t max_tables, const Pulse& pulse) {
            MemoryArgument memory(given);
            return scan(paging, {root}, *memory, {first, last}, max_tables, Reach::all, pulse);
        },
        py::arg("paging"), py::arg("root"), py::arg("memory"), py::arg("first") = 0,
        py::arg("last") = no_limit, py::arg("max_tables") = no_limit, py::arg("pulse") = Pulse{});

    m.def(
        "user_executable",
        [](const Paging& paging, std::uint64_t root, const py::object& given,
           std::size_t max_tables, std::size_t max_leaves) {
            MemoryArgument memory(given);
            const Leaves leaves =
                user_executable(paging, {root}, *memory, {max_tables, max_leaves});
            std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, bool>> pages;
            for (const Leaf& leaf : leaves.found)
                pages.emplace_back(leaf.va.value, leaf.size, leaf.pa.value, leaf.write);
            return py::make_tuple(pages, leaves.cut, leaves.unreadable);
        },
        py::arg("paging"), py::arg("root"), py::arg("memory"), py::arg("max_tables") = no_limit,
        py::arg("max_leaves") = no_limit,
        "([(va, size, pa, whether it is writable), ...], whether there are more, tables that could "
        "not be read): the user's pages that are executable by their leaf entry.");

    py::class_<Wanted>(m, "Wanted")
        .def(py::init(&make_wanted), py::arg("rights_set") = 0, py::arg("rights_clear") = 0,
             py::arg("global_") = py::none(), py::arg("sizes_any") = 0, py::arg("sizes_none") = 0,
             py::arg("large") = false, py::arg("types") = py::none());

    py::class_<Label>(m, "Label")
        .def(py::init([](std::uint64_t first, std::uint64_t last, std::string name_,
                         std::string source, bool apart) {
                 return Label{{first}, {last}, std::move(name_), std::move(source), apart};
             }),
             py::arg("first"), py::arg("last"), py::arg("name"), py::arg("source"),
             py::arg("apart") = true)
        .def_readonly("name", &Label::name)
        .def_readonly("source", &Label::source);

    py::class_<Range>(m, "Range", "A run of pages with equal attributes.")
        .def_property_readonly("va", [](const Range& r) { return r.va.value; })
        .def_readonly("size", &Range::size)
        .def_property_readonly(
            "end", [](const Range& r) { return py::int_(r.va.value) + py::int_(r.size); })
        .def_property_readonly(
            "pa",
            [](const Range& r) { return r.contiguous ? std::optional(r.pa.value) : std::nullopt; },
            "Of its first byte, None where the frames are not contiguous.")
        .def_property_readonly(
            "user", [](const Range& r) { return has(r.attributes.rights, Rights::user); })
        .def_property_readonly(
            "write", [](const Range& r) { return has(r.attributes.rights, Rights::write); })
        .def_property_readonly(
            "exec", [](const Range& r) { return has(r.attributes.rights, Rights::exec); })
        .def_property_readonly("global_", [](const Range& r) { return r.attributes.global; })
        .def_property_readonly("cache",
                               [](const Range& r) { return ptmap::name(r.attributes.type); })
        .def_property_readonly(
            "rights", [](const Range& r) { return rights_text(r.attributes); }, "As \"ur-xg\".")
        .def_readonly("page_sizes", &Range::page_sizes, "Bits: 1 4K, 2 2M, 4 4M, 8 1G.")
        .def_property_readonly("flags", &row_flags, "As a row of Map.buffer() has them.")
        .def(
            "__eq__", [](const Range& a, const Range& b) { return a == b; }, py::is_operator())
        .def("__hash__",
             [](const Range& r) { return std::hash<std::uint64_t>()(r.va.value ^ r.size); })
        .def("__repr__", [](const Range& r) {
            std::string text = "<ptmap.Range ";
            put_hex(text, r.va.value);
            return text + ", " + size_text(r.size) + ", " + rights_text(r.attributes) + ">";
        });

    py::class_<Map>(m, "Map")
        .def_property_readonly("mode", [](const Map& map) { return ptmap::name(map.mode); })
        .def_property_readonly("complete", &Map::complete)
        .def_readonly("truncated", &Map::truncated)
        .def_readonly("tables", &Map::tables)
        .def_readonly("outside_ram", &Map::outside_ram)
        .def_property_readonly("pages",
                               [](const Map& map) {
                                   py::dict pages;
                                   for (std::size_t i = 0; i < map.pages.size(); ++i)
                                       pages[py::str(std::string(page_size_names[i]))] =
                                           map.pages[i];
                                   return pages;
                               })
        .def_property_readonly("unreadable", [](const Map& map) { return map.unreadable; })
        .def_property_readonly("malformed", [](const Map& map) { return map.malformed; })
        .def("__len__", [](const Map& map) { return map.ranges.size(); })
        .def(
            "__iter__",
            [](const Map& map) {
                return py::make_iterator<py::return_value_policy::copy>(map.ranges.begin(),
                                                                        map.ranges.end());
            },
            py::keep_alive<0, 1>())
        .def(
            "__getitem__",
            [](const Map& map, std::size_t index) {
                if (index >= map.ranges.size()) throw py::index_error();
                return map.ranges[index];
            },
            "A range, by rising address.")
        .def(
            "at",
            [](const Map& map, std::uint64_t va) {
                const Range* range = range_at(map, {va});
                return range ? std::optional(*range) : std::nullopt;
            },
            "The range that holds an address, or None.")
        .def(
            "last_user_write",
            [](const Map& map, std::uint64_t first, std::uint64_t end) {
                const Range* range = last_user_write(map, {first}, {end});
                return range ? std::optional(*range) : std::nullopt;
            },
            py::arg("first"), py::arg("end"),
            "The last range that begins in [first, end) and that the user may write, or None.")
        .def(
            "user_write_around",
            [](const Map& map, std::uint64_t va,
               std::uint64_t hole) -> std::optional<std::pair<std::uint64_t, std::uint64_t>> {
                const auto found = user_write_around(map, {va}, hole);
                if (!found) return std::nullopt;
                return std::pair(found->va.value, found->va.value + found->size);
            },
            py::arg("va"), py::arg("hole"),
            "All that the user may write around an address, over holes of so many bytes: (start, "
            "end), or None.")
        .def_property_readonly("split",
                               [](const Map& map) -> std::optional<std::uint64_t> {
                                   const auto va = split(map);
                                   return va ? std::optional(va->value) : std::nullopt;
                               })
        .def(
            "json",
            [](const Map& map, const std::vector<Label>& labels, std::string_view more,
               const Pulse& pulse,
               std::string_view kind) { return json(map, labels, more, pulse, kind); },
            py::arg("labels") = std::vector<Label>{}, py::arg("more") = "",
            py::arg("pulse") = Pulse{}, py::arg("kind") = "map")
        .def(
            "ranges_text",
            [](const Map& map, const std::vector<Label>& labels, const Pulse& pulse) {
                return ranges_text(map, labels, pulse);
            },
            py::arg("labels") = std::vector<Label>{}, py::arg("pulse") = Pulse{})
        .def(
            "common",
            [](const Map& map, const Map& other) {
                const Common sum = common(map, other);
                return py::make_tuple(sum.bytes, sum.frames);
            },
            py::arg("other"),
            "(bytes that both map to the same frames, bytes of those frames); both split "
            "physically.");

    py::class_<Gap>(m, "Gap", "A part of the space that a map cannot speak of.")
        .def_property_readonly("va", [](const Gap& g) { return g.va.value; })
        .def_readonly("size", &Gap::size)
        .def_property_readonly("table", [](const Gap& g) { return g.table.value; })
        .def_readonly("level", &Gap::level, "Of that table: 1 is PT, 5 is PML5.")
        .def_readonly("why", &Gap::why, "\"not RAM\", \"reserved bit 52\".");

    m.def("make_map", &map_of, py::arg("space"), py::arg("first") = 0, py::arg("last") = no_limit,
          py::arg("split_physical") = false, py::arg("split_sizes") = false,
          py::arg("pat") = py::none(), py::arg("as_") = py::none(), py::arg("ac") = false,
          py::arg("wanted") = std::vector<Wanted>{}, py::arg("max_ranges") = no_limit,
          py::arg("ram") = std::vector<std::pair<std::uint64_t, std::uint64_t>>{},
          py::arg("pulse") = Pulse{});

    py::class_<Stretch> stretch(m, "Stretch");
    stretch.def_property_readonly("va", [](const Stretch& s) { return s.va.value; })
        .def_readonly("size", &Stretch::size)
        .def_readonly("mapped", &Stretch::mapped)
        .def_readonly("empty", &Stretch::empty)
        .def_property_readonly("all_user",
                               [](const Stretch& s) { return has(s.all_rights, Rights::user); })
        .def_property_readonly("all_write",
                               [](const Stretch& s) { return has(s.all_rights, Rights::write); })
        .def_property_readonly("all_exec",
                               [](const Stretch& s) { return has(s.all_rights, Rights::exec); })
        .def_readonly("labelled", &Stretch::labelled)
        .def_readonly("cells", &Stretch::cells);
    def_rights(stretch);

    m.def(
        "overview",
        [](const Map& map, const std::vector<Label>& labels, std::size_t rows, unsigned cells) {
            py::list stretches;  // made while the labels that they point to are there
            for (const Stretch& s : overview(map, labels, rows, cells)) {
                py::list names;
                for (const Label* label : s.labels) names.append(*label);
                stretches.append(py::make_tuple(s, names));
            }
            return stretches;
        },
        py::arg("map"), py::arg("labels"), py::arg("rows"), py::arg("cells"),
        "(Stretch, [Label, ...]) each.");

    py::class_<Grid>(m, "Grid")
        .def_readonly("level", &Grid::level)
        .def_property_readonly("first", [](const Grid& g) { return g.first.value; })
        .def_readonly("cell_size", &Grid::cell_size)
        .def_readonly("cells", &Grid::cells)
        .def_readonly("mixed", &Grid::mixed);

    m.def(
        "draw_grid",
        [](const Space& space, unsigned position, std::uint64_t first, std::uint64_t last) {
            if (position >= space.paging().levels().size()) throw py::value_error("no such level");
            return draw_grid(space, position, {first, last});
        },
        py::arg("space"), py::arg("position"), py::arg("first") = 0, py::arg("last") = no_limit);

    m.def("paging_mode", [](std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer) {
        return ptmap::name(paging_mode({cr0, 0, cr4, efer}));
    });
    m.def("memory_types", [](std::optional<std::uint64_t> pat) {
        std::vector<std::string_view> names;
        for (const MemoryType type : memory_types(pat)) names.push_back(ptmap::name(type));
        return names;
    });

    bind_diff(m);
    bind_ranges(m);
    bind_elf(m);
    bind_snapshot(m);
    bind_find(m);
    bind_query(m);
    bind_sources(m);
}
