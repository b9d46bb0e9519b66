#include "text/aliases_text.h"

#include <algorithm>
#include <utility>

#include "text/render.h"

namespace ptmap {
namespace {

void put_mapping(std::string& out, const Range& range, PhysAddr pa, std::span<const Label> labels) {
    const VirtAddr va = address_in(range, pa);
    out += '{';
    put_hex_member(out, "va", va.value);
    put_attribute_members(out, range.attributes);
    put_words_member(out, "page_sizes", [&](auto put) { each_size_name(range.page_sizes, put); });
    put_label_members(out, labels, {va, va});
    out += '}';
}

}  // namespace

void put_aliases_json(const Sink& sink, const Map& map, Conflict wanted,
                      std::span<const Label> labels, const Pulse& pulse) {
    Pieces text(sink, pulse);
    std::string& out = text.out;
    const char* comma = "\n  {";
    each_shared(
        map, wanted,
        [&](const Shared& shared) {
            out += std::exchange(comma, ",\n  {");
            put_hex_member(out, "pa", shared.pa.value);
            put_hex_member(out, "size", shared.size);
            put_words_member(out, "conflicts",
                             [&](auto put) { std::ranges::for_each(names(shared.conflict), put); });
            put_bool_member(out, "write_exec_in_one", shared.in_one);
            put_number_member(out, "count", shared.count);
            put_key(out, "mappings");
            const char* before = "[";
            for (const std::uint32_t i : shared.ranges) {
                put_mapping(out += before, map.ranges[i], shared.pa, labels);
                before = ", ";
            }
            out += ']';
            out += '}';
            text.next();
        },
        pulse);
    text.end();
}

}  // namespace ptmap
