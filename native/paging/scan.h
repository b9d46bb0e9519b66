// Reads the whole space, level by level.
//
// Tables form a graph, not a tree: many entries may name one page directory, and a recursive slot
// names the root itself. The scan reads each distinct table once and has one Node for each pair of
// table and level; map and grid keep their results below a Node. So the cost follows distinct
// tables, not the number of paths, and a hostile space stays bounded.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "paging/block.h"
#include "paging/disposal.h"
#include "paging/interval.h"
#include "paging/memory.h"
#include "paging/paging.h"
#include "paging/pulse.h"

namespace ptmap {

/// One table, used at one level.
struct Node {
    PhysAddr table;
    std::uint8_t level;  ///< position in Paging::levels()
    bool readable = false;
    std::uint32_t bytes = 0;  ///< readable: which of the tables; else which of the reasons
    /// The part of the table that any path needs, in bytes of linear address from its beginning.
    Interval needed;
    /// The tables that its entries name, by rising index.
    struct Child {
        std::uint16_t index;
        std::uint32_t node;
    };
    std::vector<Child> children;
    /// A table of the last level with few runs: which of all runs they are.
    std::uint32_t first_run = 0, run_count = 0;
};

/// Which tables a scan reads: all, or only those on a path whose entries all let the user through.
/// In the latter case Tables has no children for the other entries.
enum class Reach : std::uint8_t { all, user };

/// What a scan found. Node 0 is the root.
class Tables {
public:
    Tables(Tables&&) = default;  // no copy: Tables is large

    const Paging& paging() const { return *paging_; }
    PhysAddr root() const { return nodes_.front().table; }
    /// What was asked for, in offsets, as far as the mode has them.
    const Interval& window() const { return window_; }
    const Node& node(std::uint32_t index) const { return nodes_[index]; }
    std::size_t nodes() const { return nodes_.size(); }
    const PagingLevel& level(const Node& node) const { return paging_->levels()[node.level]; }

    /// Distinct tables read, root included.
    std::size_t count() const { return contents_.size(); }
    /// Whether the limit of tables was reached: then some tables are unread only because of it.
    bool cut() const { return cut_; }

    std::uint64_t entry(const Node& node, unsigned index) const {
        return paging_->entry(contents_[node.bytes], index);
    }
    /// A readable node's table, as the guest stores it.
    std::span<const std::byte> bytes(const Node& node) const { return contents_[node.bytes]; }
    /// The runs of the part of a readable table that any path needs, with what is known of their
    /// frames. None of a table that has many, and of one that may name tables.
    std::span<const EntryRun> runs(const Node& node) const {
        return std::span(runs_).subspan(node.first_run, node.run_count);
    }
    /// Where the frames of the pages from entry `index` on stop being contiguous, `end` at most.
    /// All entries before `end` are of Kind::page.
    unsigned contiguous_end(const Node& node, unsigned index, unsigned end) const {
        const PagingLevel& at = level(node);
        std::uint64_t next = at.page.target(entry(node, index)).value;
        do next += at.entry_span();
        while (++index < end && at.page.target(entry(node, index)).value == next);
        return index;
    }
    /// Whether the scan followed such an entry of Kind::table (Reach).
    bool follows(const PagingLevel& at, std::uint64_t raw) const {
        return reach_ == Reach::all || has(at.table.rights(raw), Rights::user);
    }
    /// The table of a followed entry.
    const Node& child(const Node& node, unsigned index) const;
    std::uint32_t child_index(const Node& node, unsigned index) const;
    /// Why a node is not readable: "not RAM".
    const std::string& why(const Node& node) const { return reasons_[node.bytes].why; }
    /// Whether that is only that Ctrl-C came before it.
    bool interrupted(const Node& node) const { return reasons_[node.bytes].interrupted; }

private:
    friend Tables scan(const Paging&, PhysAddr, PhysicalMemory&, const Interval&, std::size_t,
                       Reach, const Pulse&);
    friend class Scanner;
    Tables(const Paging& paging, const Interval& window, Reach reach)
        : paging_(paging.copy()), window_(window), reach_(reach) {}

    std::shared_ptr<const Paging> paging_;
    Interval window_;
    Reach reach_;
    Disposed<std::vector<Node>> nodes_;
    Disposed<std::vector<EntryRun>> runs_;
    std::vector<std::span<const std::byte>> contents_;
    // The tables' memory: a block for each fetch, of up to 16 MiB.
    Disposed<std::vector<Block>, 8> read_;
    struct Reason {
        std::string why;
        bool interrupted = false;
        bool operator==(const Reason&) const = default;
    };
    std::vector<Reason> reasons_;
    bool cut_ = false;
};

/// Reads every table below `root` that `window` (offsets) needs: one PhysicalMemory::fetch per
/// level for up to 4096 tables, each table once, `max_tables` at most. A table that cannot be read
/// is a Node that says why. The pulse is by tables read. Exceptions: those of `memory` and of the
/// pulse.
Tables scan(const Paging& paging, PhysAddr root, PhysicalMemory& memory,
            const Interval& window = {},
            std::size_t max_tables = std::numeric_limits<std::size_t>::max(),
            Reach reach = Reach::all, const Pulse& pulse = {});

}  // namespace ptmap
