#include "text/registers_text.h"

#include <utility>

#include "arch/formats.h"
#include "text/entry_text.h"
#include "text/json_writer.h"
#include "text/wrap.h"

namespace ptmap {
namespace {

using Words = std::vector<std::string>;

std::string small_letters(std::string_view words) {
    std::string text(words);
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

constexpr unsigned value_digits(std::uint64_t value) { return value >> 32 ? 16 : 8; }

Words set_bits(ControlRegister reg, std::uint64_t value) {
    Words words;
    for (const RegisterBit& bit : register_bits(reg))
        if (value >> bit.bit & 1) words.emplace_back(bit.name);
    return words;
}

// The fields of CR3 (SDM vol. 3A, 4.3, 4.4.1, 4.5.2).
Words cr3_fields(const Paging& paging, std::uint64_t value) {
    constexpr std::uint64_t pcide = 1 << 17, pwt = 1 << 3, pcd = 1 << 4;
    constexpr std::uint64_t lam_u57 = bits(61, 1), lam_u48 = bits(62, 1);
    Words words{"root=" + hex(paging.root_of(value).value)};
    const auto add = [&](std::uint64_t bit, const char* name) {
        if (value & bit) words.emplace_back(name);
    };
    if (registers_of(paging).cr4 & pcide) {
        words.push_back("PCID=" + hex(value & 0xfff));
    } else if (mode_of(paging.format()) != Mode::pae) {
        add(pwt, "PWT");
        add(pcd, "PCD");
    }
    if (paging.format().canonical) {
        add(lam_u57, "LAM_U57");
        add(lam_u48, "LAM_U48");
    }
    return words;
}

Words words_of(const ShownRegister& shown, std::uint64_t value, const RegistersReport& report) {
    Words words = set_bits(shown.reg, value);
    if (shown.reg == ControlRegister::cr3 && report.paging)
        words = cr3_fields(*report.paging, value);
    if (shown.reg == ControlRegister::cr2 && !report.cr2_now.empty())
        words = {"now " + report.cr2_now};
    if (shown.is_set)
        words.push_back("(set by `set ptmap " + small_letters(name(shown.reg)) + "`)");
    for (const std::string& what : shown.assumed) words.push_back("(assuming " + what + ")");
    return words;
}

void put_name(Text& text, std::string_view name) {
    text.heading(name);
    text.out.append(name.size() < 4 ? 6 - name.size() : 2, ' ');
}

void put_register(Text& text, const ShownRegister& shown, const RegistersReport& report) {
    put_name(text, name(shown.reg));
    if (!shown.value) {
        text.out += "not known\n";
        return;
    }
    const std::string value = hex(*shown.value, value_digits(*shown.value));
    text.address(*shown.value, value_digits(*shown.value));
    std::string all;
    for (const std::string& word : words_of(shown, *shown.value, report))
        all.append(all.empty() ? "" : " ").append(word);
    // Bits are indented to the value, which follows the name.
    const std::size_t margin = value.size() + 8;
    bool first = true;
    for (const std::string& line : wrap(all, {.width = screen_columns - margin})) {
        text.out.append(first ? "  " : std::string(margin, ' ')).append(line) += '\n';
        first = false;
    }
    if (first) text.out += '\n';
}

// A base, a limit and, if there is one, a selector.
void put_segment(Text& text, std::string_view name, VirtAddr base, std::uint32_t limit,
                 std::optional<std::uint32_t> selector) {
    put_name(text, name);
    text.out += "base ";
    text.address(base.value, value_digits(base.value));
    text.out.append(" limit ").append(hex(limit));
    if (selector) text.out.append(" selector ").append(hex(*selector));
    text.out += '\n';
}

void put_tables(Text& text, const std::optional<SystemRegisters>& tables) {
    if (!tables) {
        text.heading("GDTR, IDTR, LDTR, TR");
        text.out += "  not known\n";
        return;
    }
    put_segment(text, "GDTR", tables->gdtr.base, tables->gdtr.limit, std::nullopt);
    put_segment(text, "IDTR", tables->idtr.base, tables->idtr.limit, std::nullopt);
    for (const auto& [name, segment] :
         {std::pair("LDTR", tables->ldtr), std::pair("TR", tables->tr)}) {
        if (!segment.is_null()) {
            put_segment(text, name, segment.base, segment.limit, segment.selector);
            continue;
        }
        put_name(text, name);
        text.out += "null\n";
    }
}

void put_mode(Text& text, const RegistersReport& report) {
    put_name(text, "mode");
    if (!report.mode) {
        text.out += "not known: a register that decides is missing\n";
        return;
    }
    if (!report.paging) {
        text.out += "paging is off (CR0.PG=0): linear addresses are physical\n";
        return;
    }
    const Format& format = report.paging->format();
    text.out.append(format.name).append(" paging: ");
    const char* comma = "";
    for (const Level& level : format.levels)
        text.out.append(std::exchange(comma, ", ")).append(level.table_name);
    text.out.append("; ").append(std::to_string(format.va_bits)).append("-bit linear addresses\n");
}

// No member if there is nothing in it.
void put_list_json(JsonWriter& json, std::string_view name, const std::vector<std::string>& what) {
    if (what.empty()) return;
    json.key(name).list([&] {
        for (const std::string& one : what) json.text(one);
    });
}

void put_register_json(JsonWriter& json, const ShownRegister& shown,
                       const RegistersReport& report) {
    if (!shown.value) return json.null();
    json.object([&] {
        json.key("value").hex(*shown.value);
        json.key("bits").list([&] {
            for (const std::string& name : set_bits(shown.reg, *shown.value)) json.text(name);
        });
        if (shown.is_set) json.key("set").boolean(true);
        if (shown.reg == ControlRegister::cr2 && !report.cr2_now.empty())
            json.key("now").text(report.cr2_now);
        put_list_json(json, "assumed", shown.assumed);
    });
}

void put_table_json(JsonWriter& json, VirtAddr base, std::uint32_t limit,
                    std::optional<std::uint32_t> selector = std::nullopt) {
    json.object([&] {
        if (selector) json.key("selector").number(*selector);
        json.key("base").hex(base.value);
        json.key("limit").number(limit);
    });
}

void put_state_members(JsonWriter& json, const EntryPieceState& state) {
    json.key("pages").number(state.pages);
    json.key("mapped").number(state.mapped);
    json.key("frame");
    state.frame ? json.hex(state.frame->value) : json.null();
    json.key("verdict").text(text(state));
    json.key("ok").boolean(state.ok());
}

void put_row_json(JsonWriter& json, const EntryRow& row) {
    json.object([&] {
        json.key("name").text(row.piece.full_name());
        json.key("va").hex(row.piece.address.value);
        json.key("access").text(name(row.piece.access));
        json.key("vectors").list([&] {
            for (const std::uint8_t vector : row.piece.vectors) json.number(vector);
        });
        json.key("before_switch").boolean(row.piece.before_switch);
        json.key("rare").boolean(row.piece.rare);
        put_state_members(json, row.here);
        json.key("user");
        if (!row.user) return json.null();
        json.object([&] { put_state_members(json, *row.user); });
    });
}

void put_descriptors_json(JsonWriter& json, const RegistersReport& report) {
    if (!report.tables) return json.null();
    const SystemRegisters& tables = *report.tables;
    const auto put_root = [&](const char* key, PhysAddr KptiRoots::*root) {
        json.key(key);
        report.pair ? json.hex(((*report.pair).*root).value) : json.null();
    };
    json.object([&] {
        put_table_json(json.key("gdtr"), tables.gdtr.base, tables.gdtr.limit);
        put_table_json(json.key("idtr"), tables.idtr.base, tables.idtr.limit);
        put_table_json(json.key("ldtr"), tables.ldtr.base, tables.ldtr.limit, tables.ldtr.selector);
        put_table_json(json.key("tr"), tables.tr.base, tables.tr.limit, tables.tr.selector);
        put_root("kernel_root", &KptiRoots::kernel);
        put_root("user_root", &KptiRoots::user);
        json.key("pieces").list([&] {
            for (const EntryRow& row : report.rows) put_row_json(json, row);
        });
        json.key("notes").list([&] {
            for (const std::string& note : report.notes) json.text(note);
        });
        json.key("answer");
        if (report.paging && report.why_not.empty())
            json.text(entry_answer(report.rows, report.pair));
        else
            json.null();
    });
}

}  // namespace

std::optional<Half> RegistersReport::half() const {
    if (!pair || !root) return std::nullopt;
    return *root == pair->user ? Half::user : Half::kernel;
}

std::string outcome_text(const Walk& walk) {
    const std::string last = walk.steps.empty() ? "" : walk.steps.back().level->entry_name;
    switch (walk.outcome) {
        case Outcome::mapped:
            return rights_words(walk.rights) + " at physical " + hex(walk.pa.value);
        case Outcome::not_canonical: return "not canonical";
        case Outcome::not_present: return "not present: the walk ends at the " + last;
        case Outcome::reserved_bit: return "not usable: the " + last + " has a reserved bit set";
        case Outcome::unreadable: break;
    }
    return "not known: the " + last + " cannot be read (" + walk.why + ')';
}

void put_registers(Text& text, const RegistersReport& report) {
    for (const ShownRegister& shown : report.registers) put_register(text, shown, report);
    put_tables(text, report.tables);
    put_mode(text, report);
    for (const std::string& what : report.deduced) text.out.append("deduced ").append(what) += '\n';
    for (const std::string& what : report.assumed)
        text.out.append("assuming ").append(what) += '\n';
    if (!report.paging || !report.root) return;
    if (report.why_not.empty()) {
        put_entry(text, {mode_of(report.paging->format()), *report.root, report.pair, report.half(),
                         report.rows, report.notes});
        return;
    }
    for (const std::string& line : wrap("What entering the kernel needs: " + report.why_not)) {
        text.reason(line);
        text.out += '\n';
    }
}

std::string registers_json(const RegistersReport& report) {
    std::string out;
    JsonWriter json(out);
    json.object([&] {
        json.key("schema").text("ptmap/1");
        json.key("kind").text("regs");
        json.key("mode");
        report.mode ? json.text(name(*report.mode)) : json.null();
        json.key("root");
        report.root ? json.hex(report.root->value) : json.null();
        json.key("registers").object([&] {
            for (const ShownRegister& shown : report.registers)
                put_register_json(json.key(small_letters(name(shown.reg))), shown, report);
        });
        put_list_json(json, "assumed", report.assumed);
        put_list_json(json, "deduced", report.deduced);
        put_descriptors_json(json.key("descriptors"), report);
    });
    return out + '\n';
}

}  // namespace ptmap
