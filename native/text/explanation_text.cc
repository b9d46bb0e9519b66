#include "text/explanation_text.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "text/entry_text.h"
#include "text/json_writer.h"
#include "text/wrap.h"

namespace ptmap {
namespace {

constexpr std::string_view pkru_allows_key_0 = "PKRU allows key 0";
constexpr std::size_t line_width = 80;

// Whether it is a type, not a slot of IA32_PAT whose type is not known.
bool is_known(MemoryType type) { return !(only(type) & unknown_types); }

// The bit of an entry that takes a right away (SDM vol. 3A, 4.6).
std::string_view denial_text(Rights right) {
    return right == Rights::user ? "US=0" : right == Rights::write ? "RW=0" : "XD=1";
}

// Bits without a name: "[9,10]", and three or more in a row as the SDM writes them, "[62:52]".
std::string bracketed(const std::vector<unsigned>& bits) {
    std::string text = "[";
    for (std::size_t first = 0; first < bits.size();) {
        std::size_t last = first;
        while (last + 1 < bits.size() && bits[last + 1] == bits[last] + 1) ++last;
        if (last - first < 2) last = first;
        if (first > 0) text += ',';
        if (last > first) text.append(std::to_string(bits[last])).append(":");
        text += std::to_string(bits[first]);
        first = last + 1;
    }
    return text + "]";
}

std::string short_bit_name(const NamedBits& bits) {
    const std::string_view name = sdm_name(bits);
    return name.empty() ? bracketed(bit_numbers(bits)) : std::string(name);
}

std::string used_bits_text(const NamedBits& bits) {
    return bits.role == Role::key ? "key=" + std::to_string(bits.value) : bit_name(bits);
}

// A present entry's fields, or that it is not present.
std::vector<std::string> words_of(const ExplainedStep& step) {
    if (step.step.kind == Kind::not_present) return {"not present"};
    std::vector<std::string> words;
    for (const NamedBits& bits : step.used) words.push_back(used_bits_text(bits));
    for (const NamedBits& bits : step.ignored)
        words.push_back(sdm_name(bits).empty() ? "AVL" + bracketed(bit_numbers(bits))
                                               : short_bit_name(bits) + " (ignored)");
    for (const NamedBits& bits : step.reserved) words.push_back(short_bit_name(bits) + " RESERVED");
    for (const NamedBits& bits : step.reserved_at_load)
        words.push_back(short_bit_name(bits) + " (reserved for MOV CR3)");
    return words;
}

// The text of one address.
class ExplanationLines {
public:
    ExplanationLines(std::string& out, const ExplainedSpace& space, const ExplainedAddress& address)
        : out_(out), space_(space), address_(address), e_(address.explanation) {}

    void put() {
        if (e_.paging_is_off()) {
            line({hex(e_.va.value, 8), ": paging is off (CR0.PG=0), physical ", hex(e_.va.value)});
            return;
        }
        heading();
        for (const std::string& what : space_.assumed) line({"  assuming ", what});
        steps();
        outcome();
        for (const Privilege privilege : all_privileges) accesses(privilege);
    }

private:
    void line(std::initializer_list<std::string_view> parts) {
        for (const std::string_view part : parts) out_ += part;
        out_ += '\n';
    }

    // The notes follow on the same line, or each on its own line if that is too long.
    void heading() {
        const std::string first = hex(e_.va.value, e_.format->canonical ? 16 : 8) + ": " +
                                  std::string(name(space_.mode)) + " paging, root " +
                                  hex(space_.root.value);
        std::string all = first;
        for (const std::string& note : space_.notes) all.append(", ").append(note);
        if (all.size() <= line_width) return line({all});
        line({first});
        for (const std::string& note : space_.notes) line({"  ", note});
    }

    void steps() {
        std::size_t width = 0;
        for (const ExplainedStep& step : e_.steps)
            width = std::max(width, hex(step.step.entry_address.value).size());
        for (const ExplainedStep& explained : e_.steps) {
            const Step& step = explained.step;
            std::string start = "  " + left(step.level->entry_name, 5) + " " +
                                right(std::to_string(step.index), 4) + "  " +
                                right(hex(step.entry_address.value), width) + "  ";
            if (!explained.was_read) {
                line({start, "could not be read"});
                continue;
            }
            put_hex(start, step.raw, 2 * e_.format->entry_bytes);
            wrapped(start + "  ", words_of(explained));
        }
    }

    // The words after `start`, on as many lines as needed, at least one word on each.
    void wrapped(const std::string& start, const std::vector<std::string>& words) {
        std::string text = start;
        bool is_first_word = true;
        for (const std::string& word : words) {
            if (!is_first_word && text.size() + 1 + word.size() > line_width) {
                line({text});
                text.assign(start.size(), ' ');
                is_first_word = true;
            }
            text.append(is_first_word ? "" : " ").append(word);
            is_first_word = false;
        }
        line({text});
    }

    void outcome() {
        const ExplainedStep* last = e_.steps.empty() ? nullptr : &e_.steps.back();
        switch (e_.outcome) {
            case Outcome::mapped: return page(*e_.page);
            case Outcome::not_canonical:
                return line({"  not canonical: bits 63:", std::to_string(e_.format->va_bits - 1),
                             " are not all the same"});
            case Outcome::not_present:
                line({"  not present: the walk ends at the ", last->step.level->entry_name,
                      " (P=0)"});
                return system_notes();
            case Outcome::unreadable:
                return line({"  unreadable: the ", last->step.level->entry_name, " at ",
                             hex(last->step.entry_address.value), ": ", e_.why});
            case Outcome::reserved_bit: return reserved_bit(*last);
        }
    }

    void system_notes() {
        for (const SystemNote& note : address_.notes)
            for (const std::string& part : wrap(note.text, {.width = screen_columns - 2}))
                line({"  ", part});
    }

    void reserved_bit(const ExplainedStep& step) {
        std::string names;
        for (const NamedBits& bits : step.reserved)
            names.append(names.empty() ? "" : ", ").append(short_bit_name(bits));
        line({"  reserved bit: the ", step.step.level->entry_name, " has ", names, " set"});
        assumed_maxphyaddr();
    }

    void page(const ExplainedPage& page) {
        line({"  physical ", hex(page.pa.value), ", ", size_words(page.size), " page"});
        line({"  type     ", type_text(page), "; MTRRs not considered"});
        std::string rights = rights_words(page.rights);
        if (page.global) rights += " global";
        if (page.key) rights.append(" key ").append(std::to_string(*page.key));
        line({"  rights   ", rights});
        for (const Denial& denial : page.denials) {
            const Step& step = e_.steps[denial.step].step;
            line({"           no ", name(denial.right), ": ", step.level->entry_name, " ",
                  std::to_string(step.index), " ", denial_text(denial.right)});
        }
        system_notes();
        assumed_maxphyaddr();
    }

    std::string type_text(const ExplainedPage& page) const {
        const std::string slot = "PAT slot " + std::to_string(page.cache_slot);
        if (!is_known(page.type)) return "not known: " + slot + hint(space_.pat_hint);
        return std::string(name(page.type)).append(" (").append(slot).append(")");
    }

    void assumed_maxphyaddr() {
        if (space_.maxphyaddr_is_assumed && space_.mode != Mode::bits32)
            line({"  MAXPHYADDR is not known: assuming ", std::to_string(space_.maxphyaddr)});
    }

    void accesses(Privilege privilege) {
        const std::string who = "  " + left(name(privilege), 7) + " ";
        const Verdict& read = e_.verdict(privilege, Access::read);
        const bool are_equal = std::ranges::all_of(
            all_accesses, [&](Access access) { return e_.verdict(privilege, access) == read; });
        if (are_equal) return line({who, "read, write, fetch: ", verdict_text(read)});
        for (const Access access : all_accesses)
            line({who, left(name(access), 5), " ", verdict_text(e_.verdict(privilege, access))});
    }

    std::string verdict_text(const Verdict& v) const {
        const std::string reason = ": " + std::string(ptmap::text(v.reason));
        const std::string pkru = hint(space_.pkru_hint);
        switch (v.result) {
            case Verdict::Result::allowed:
                return v.if_key_0 ? "ok, if " + std::string(pkru_allows_key_0) : "ok";
            case Verdict::Result::unknown:
                return "not known" + reason + (v.reason == Reason::unknown_pkru ? pkru : "");
            case Verdict::Result::general_protection:
                return (v.stack_fault ? "#GP(0) (#SS(0) through the stack segment)" : "#GP(0)") +
                       reason;
            case Verdict::Result::page_fault: {
                const std::string bits = error_code_bits(v.error_code);
                return "#PF " + hex(v.error_code) + " (" + (bits.empty() ? "no bit" : bits) + ")" +
                       reason + (v.pk_unknown ? "; PK not known" + pkru : "");
            }
        }
        return {};
    }

    static std::string hint(const std::string& how) { return how.empty() ? "" : " (" + how + ")"; }

    std::string& out_;
    const ExplainedSpace& space_;
    const ExplainedAddress& address_;
    const Explanation& e_;
};

void put_bits(JsonWriter& json, std::string_view key, const std::vector<NamedBits>& all) {
    json.key(key).list([&] {
        for (const NamedBits& bits : all) json.text(used_bits_text(bits));
    });
}

void put_step(JsonWriter& json, const ExplainedStep& explained) {
    const Step& step = explained.step;
    json.object([&] {
        json.key("level").number(step.level->number);
        json.key("name").text(step.level->entry_name);
        json.key("table").hex(step.table.value);
        json.key("index").number(step.index);
        json.key("entry_pa").hex(step.entry_address.value);
        if (explained.was_read) json.key("raw").hex(step.raw);
        if (step.kind != Kind::not_present) {
            put_bits(json, "bits", explained.used);
            if (!explained.reserved.empty()) put_bits(json, "reserved", explained.reserved);
            if (!explained.reserved_at_load.empty())
                put_bits(json, "load", explained.reserved_at_load);
            if (!explained.ignored.empty()) put_bits(json, "ignored", explained.ignored);
            if (step.kind != Kind::malformed) json.key("target").hex(step.target.value);
        }
    });
}

void put_page(JsonWriter& json, const Explanation& e, const ExplainedPage& page) {
    json.key("pa").hex(page.pa.value);
    json.key("page_size").text(size_text(page.size));
    json.key("cache").text(name(page.type));
    json.key("cache_slot").number(page.cache_slot);
    if (page.key) json.key("key").number(*page.key);
    json.key("rights").object([&] {
        for (const Rights right : {Rights::user, Rights::write, Rights::exec})
            json.key(name(right)).boolean(has(page.rights, right));
        json.key("global").boolean(page.global);
    });
    json.key("denied_by").object([&] {
        for (const Denial& denial : page.denials) {
            const Step& step = e.steps[denial.step].step;
            json.key(name(denial.right)).object([&] {
                json.key("entry").text(step.level->entry_name);
                json.key("index").number(step.index);
                json.key("bit").text(denial_text(denial.right));
            });
        }
    });
}

void put_verdict(JsonWriter& json, Access access, const Verdict& v) {
    using Result = Verdict::Result;
    json.key(name(access)).object([&] {
        if (v.result == Result::unknown)
            json.key("ok").null();
        else
            json.key("ok").boolean(v.result == Result::allowed);
        if (v.if_key_0) json.key("if").text(pkru_allows_key_0);
        const bool faults =
            v.result == Result::page_fault || v.result == Result::general_protection;
        if (faults) json.key("fault").text(v.result == Result::page_fault ? "#PF" : "#GP");
        if (v.result != Result::allowed) json.key("why").text(text(v.reason));
        if (v.result == Result::page_fault) json.key("error_code").hex(v.error_code);
        if (v.pk_unknown) {
            json.key("unknown_bits").list([&] { json.text("PK"); });
        }
        if (v.stack_fault) json.key("stack_fault").text("#SS");
    });
}

void put_address(JsonWriter& json, const ExplainedAddress& address) {
    const Explanation& e = address.explanation;
    json.object([&] {
        json.key("va").hex(e.va.value);
        json.key("outcome").text(e.paging_is_off() ? "paging-off" : name(e.outcome));
        if (e.paging_is_off()) json.key("pa").hex(e.va.value);
        json.key("steps").list([&] {
            for (const ExplainedStep& step : e.steps) put_step(json, step);
        });
        if (!e.steps.empty()) json.key("level").number(e.steps.back().step.level->number);
        if (e.outcome == Outcome::unreadable) json.key("why").text(e.why);
        for (const SystemNote& note : address.notes) json.key(note.key).json(note.json);
        if (e.page) put_page(json, e, *e.page);
        if (!e.paging_is_off()) {
            json.key("access").object([&] {
                for (const Privilege privilege : all_privileges) {
                    json.key(name(privilege)).object([&] {
                        for (const Access access : all_accesses)
                            put_verdict(json, access, e.verdict(privilege, access));
                    });
                }
            });
        }
        if (!address.expect_json.empty()) json.key("expect").json(address.expect_json);
    });
}

}  // namespace

void put_explanations_text(const Sink& sink, const ExplainedSpace& space,
                           std::span<const ExplainedAddress> addresses) {
    const Pulse none;
    Pieces text(sink, none);
    for (const ExplainedAddress& address : addresses) {
        if (&address != &addresses.front()) text.out += '\n';
        ExplanationLines(text.out, space, address).put();
        text.next();
    }
    text.end();
}

void put_explanations_json(const Sink& sink, const ExplainedSpace& space,
                           std::span<const ExplainedAddress> addresses,
                           std::string_view expect_json) {
    const Pulse none;
    Pieces text(sink, none);
    JsonWriter json(text.out);
    json.object([&] {
        json.key("schema").text("ptmap/1");
        json.key("kind").text("pte");
        json.key("mode").text(name(space.mode));
        json.key("root").hex(space.root.value);
        json.key("maxphyaddr").number(space.maxphyaddr);
        json.key("maxphyaddr_assumed").boolean(space.maxphyaddr_is_assumed);
        json.key("addresses").list([&] {
            for (const ExplainedAddress& address : addresses) {
                put_address(json, address);
                text.next();
            }
        });
        if (!expect_json.empty()) json.key("expect").json(expect_json);
    });
    text.out += '\n';
    text.end();
}

std::string_view says(const ResponsibleEntry& entry) {
    using enum ResponsibleEntry::Says;
    switch (entry.says) {
        case maps_page: return "maps the page";
        case names_table: return "names the table";
        case not_present: return "not present (P=0)";
        case reserved_bit: return "a reserved bit is set";
        case unreadable: return "could not be read";
        case takes_right: break;
    }
    return denial_text(entry.right);
}

std::string text(const ResponsibleEntry& entry) {
    const Step& step = entry.step;
    std::string text = std::string(step.level->entry_name) + " " + std::to_string(step.index) +
                       " at " + hex(step.entry_address.value);
    if (entry.says != ResponsibleEntry::Says::unreadable) {
        text += " = ";
        put_hex(text, step.raw, 2 * entry.entry_bytes);
    }
    return text.append(": ").append(says(entry));
}

std::string end_text(const Walk& walk) {
    if (walk.steps.empty()) return "";
    const Step& last = walk.steps.back();
    const std::string entry = std::string(last.level->entry_name) + " " +
                              std::to_string(last.index) + " at " + hex(last.entry_address.value);
    switch (walk.outcome) {
        case Outcome::mapped: return entry + " maps a page of " + size_words(walk.page_size);
        case Outcome::not_present: return entry + " is not present";
        case Outcome::reserved_bit: return entry + " has a reserved bit set";
        case Outcome::unreadable: return entry + " could not be read (" + walk.why + ")";
        case Outcome::not_canonical: break;
    }
    return "";
}

}  // namespace ptmap
