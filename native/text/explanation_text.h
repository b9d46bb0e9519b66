// Explained addresses in words (80 columns, ASCII) and as JSON.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "explain/explanation.h"
#include "text/text.h"

namespace ptmap {

/// The space of explained addresses, for the heading and for notes on what is not known. The caller
/// gives each note as one phrase.
struct ExplainedSpace {
    Mode mode = Mode::off;
    PhysAddr root;
    std::vector<std::string> notes;    ///< about which space this is
    std::vector<std::string> assumed;  ///< about the registers
    unsigned maxphyaddr = 52;
    bool maxphyaddr_is_assumed = false;
    std::string pat_hint;   ///< how the user can give IA32_PAT; "" gives no hint
    std::string pkru_hint;  ///< how the user can give PKRU
};

/// What is known of the operating system at an address. The core only passes it on.
struct SystemNote {
    std::string key;   ///< of the JSON's member
    std::string json;  ///< its value, indented by one space a level
    std::string text;  ///< one line
};

struct ExplainedAddress {
    Explanation explanation;
    std::vector<SystemNote> notes;
    std::string expect_json;  ///< the result of a rule, as SystemNote::json; "" without a rule
};

/// One text for each address, with an empty line between two.
void put_explanations_text(const Sink& sink, const ExplainedSpace& space,
                           std::span<const ExplainedAddress> addresses);

/// A document "pte" of the schema ptmap/1. `expect_json` is the rule as a JSON string, "" without.
void put_explanations_json(const Sink& sink, const ExplainedSpace& space,
                           std::span<const ExplainedAddress> addresses,
                           std::string_view expect_json = {});

/// "RW=0", "not present (P=0)", "maps the page".
std::string_view says(const ResponsibleEntry& entry);

/// "PTE 72 at 0x206120 = 0x01000025: RW=0".
std::string text(const ResponsibleEntry& entry);

/// "PTE 72 at 0x206120 is not present", "... maps a page of 4 KiB": how a walk ended. "" for an
/// address that is not canonical.
std::string end_text(const Walk& walk);

}  // namespace ptmap
