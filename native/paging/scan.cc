#include "paging/scan.h"

#include <algorithm>

#include "paging/counts.h"

namespace ptmap {
namespace {

constexpr std::size_t batch = 4096;  // tables in a fetch: 16 MiB, natively a tenth of a second
constexpr std::size_t few = 8;       // runs of a table that are remembered
constexpr std::size_t lookup = 8;    // units of work of a look into a hash table

}  // namespace

class Scanner {
public:
    Scanner(Tables& tables, PhysicalMemory& memory, std::size_t max_tables, const Pulse& pulse)
        : tables_(tables),
          memory_(memory),
          max_tables_(max_tables),
          pulse_([this, &pulse](std::size_t) {
              if (pulse) pulse(tables_.contents_.size());
          }) {}

    void run(PhysAddr root) {
        const std::uint64_t top = tables_.paging_->last_offset();
        tables_.window_.last = std::min(tables_.window_.last, top);
        reach(root, 0, tables_.window_);
        // All paths to a level's tables come from the level above, so `needed` is final when the
        // level is read.
        for (std::size_t begin = 0; begin < tables_.nodes_.size();) {
            const std::size_t end = tables_.nodes_.size();
            read(begin, end);
            for (std::size_t n = begin; n < end; ++n) follow(static_cast<std::uint32_t>(n));
            begin = end;
        }
    }

private:
    // The node of a table at a level, made if there is none; what it must show grows by `needed`.
    std::uint32_t reach(PhysAddr table, std::uint8_t level, const Interval& needed) {
        const auto [found, fresh] = node_of_.try_emplace(
            table.value << 3 | level, static_cast<std::uint32_t>(tables_.nodes_.size()));
        if (fresh) {
            tables_.nodes_.push_back({.table = table, .level = level, .needed = needed});
        } else {
            Interval& known = tables_.nodes_[found->second].needed;
            known = around(known, needed);
        }
        return found->second;
    }

    // What identifies a table: its address, and whether it is PAE's root, which is only a part of a
    // page.
    std::uint64_t key(std::size_t n) const {
        const Node& node = tables_.nodes_[n];
        return node.table.value | (tables_.paging_->table_bytes(tables_.level(node)) < 4096);
    }

    // Reads the tables of nodes begin..end-1 that were not read at another level already.
    void read(std::size_t begin, std::size_t end) {
        std::vector<std::uint32_t> wanted;
        for (std::size_t n = begin; n < end; ++n) {
            tick_.looked(lookup);
            const auto [known, fresh] = read_.try_emplace(key(n), Table{});
            if (fresh) wanted.push_back(static_cast<std::uint32_t>(n));
        }
        for (std::size_t at = 0; at < wanted.size(); at += batch)
            fetch(std::span(wanted).subspan(at, std::min(batch, wanted.size() - at)));
        for (std::size_t n = begin; n < end; ++n) {
            tick_.looked(lookup);
            const Table& table = read_.at(key(n));
            tables_.nodes_[n].readable = table.ok;
            tables_.nodes_[n].bytes = table.at;
        }
    }

    void fetch(std::span<const std::uint32_t> wanted) {
        const std::size_t count = std::min(wanted.size(), max_tables_ - tables_.contents_.size());
        std::vector<Fetch> reads;
        std::size_t used = 0;
        std::byte* const piece = count ? room_for(count) : nullptr;
        for (const std::uint32_t n : wanted.first(count)) {
            const Node& node = tables_.nodes_[n];
            const std::size_t bytes = tables_.paging_->table_bytes(tables_.level(node));
            reads.push_back({node.table, {piece + used, bytes}});
            used += bytes;
        }
        if (!reads.empty()) memory_.fetch(reads);
        for (std::size_t i = 0; i < wanted.size(); ++i) {
            Table& table = read_.at(key(wanted[i]));
            if (i < reads.size() && reads[i].ok) {
                table = {true, static_cast<std::uint32_t>(tables_.contents_.size())};
                tables_.contents_.push_back(reads[i].to);
            } else {
                tables_.cut_ |= i >= reads.size();
                table = {false, i < reads.size() ? reason({reads[i].why, reads[i].interrupted})
                                                 : reason({"limit of tables reached"})};
            }
        }
        pulse_(0);
    }

    std::byte* room_for(std::size_t tables) {
        tables_.read_.push_back(make_block(tables * 4096));
        return tables_.read_.back().get();
    }

    std::uint32_t reason(const Tables::Reason& why) {
        const auto known = std::ranges::find(tables_.reasons_, why);
        if (known == tables_.reasons_.end()) {
            tables_.reasons_.push_back(why);
            return static_cast<std::uint32_t>(tables_.reasons_.size() - 1);
        }
        return static_cast<std::uint32_t>(known - tables_.reasons_.begin());
    }

    // Reaches the tables that a node's entries name.
    void follow(std::uint32_t n) {
        if (!tables_.nodes_[n].readable) return;
        const PagingLevel& level = tables_.level(tables_.nodes_[n]);
        if (level.level->table.empty()) return divide(tables_.nodes_[n], level);
        const Interval needed = tables_.nodes_[n].needed;
        const std::uint64_t span = level.entry_span();
        std::vector<Node::Child> children;
        for (unsigned i = level.index(needed.first); i <= level.index(needed.last); ++i) {
            tick_.looked();
            const std::uint64_t raw = tables_.entry(tables_.nodes_[n], i);
            if (level.kind(raw) != Kind::table) continue;
            tick_.looked(lookup);
            if (!tables_.follows(level, raw)) continue;
            const std::uint64_t begin = i * span;
            const Interval below = intersection(needed, Interval::of_size(begin, span)).from(begin);
            children.push_back(
                {static_cast<std::uint16_t>(i),
                 reach(level.table.target(raw),
                       static_cast<std::uint8_t>(tables_.nodes_[n].level + 1), below)});
        }
        tables_.nodes_[n].children = std::move(children);
    }

    // All that is worked out of a map asks for these runs. To look for them once is most of the
    // work on a space of many small pages.
    void divide(Node& node, const PagingLevel& level) {
        const std::size_t before = tables_.runs_.size();
        const std::span<const std::byte> table = tables_.contents_[node.bytes];
        const unsigned end = level.index(node.needed.last) + 1;
        unsigned i = level.index(node.needed.first);
        tick_.looked(end - i);
        for (std::size_t count = 0; i < end; ++count) {
            if (count == few) return tables_.runs_.resize(before);
            EntryRun run = tables_.paging_->run(level, table, i, end);
            if (run.kind == Kind::page) run.frames = tables_.paging_->frames(level, table, i, run);
            i = run.end;
            add_to<EntryRun>(tables_.runs_, run);
        }
        node.first_run = static_cast<std::uint32_t>(before);
        node.run_count = static_cast<std::uint32_t>(tables_.runs_.size() - before);
    }

    struct Table {
        bool ok = false;
        std::uint32_t at = 0;
    };
    Tables& tables_;
    PhysicalMemory& memory_;
    std::size_t max_tables_;
    const Pulse pulse_;  // by tables read
    Ticker tick_{pulse_};
    std::unordered_map<std::uint64_t, std::uint32_t> node_of_;
    std::unordered_map<std::uint64_t, Table> read_;
};

std::uint32_t Tables::child_index(const Node& node, unsigned index) const {
    return std::ranges::lower_bound(node.children, index, {}, &Node::Child::index)->node;
}

const Node& Tables::child(const Node& node, unsigned index) const {
    return nodes_[child_index(node, index)];
}

Tables scan(const Paging& paging, PhysAddr root, PhysicalMemory& memory, const Interval& window,
            std::size_t max_tables, Reach reach, const Pulse& pulse) {
    ++counts.scans;
    Tables tables(paging, window, reach);
    Scanner(tables, memory, max_tables, pulse).run(root);
    return tables;
}

}  // namespace ptmap
