// Opens a dump of a machine, and prints the address space of its first CPU and one address
// explained. It needs neither GDB nor Python.
//
//     dump_map FILE ADDRESS
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>

#include "machine/dump_spaces.h"
#include "paging/read_once.h"
#include "paging/walk.h"
#include "text/explanation_text.h"
#include "text/render.h"

using namespace ptmap;

static void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

int main(int argc, char** argv) try {
    if (argc != 3) throw std::runtime_error("usage: dump_map FILE ADDRESS");
    const auto dump = open_dump(argv[1]);
    const auto spaces = spaces_of(*dump);
    if (spaces.empty()) throw std::runtime_error("no CPU of the dump has paging on");
    const auto& [cpu, paging, state, assumed] = spaces.front();
    ReadOnce memory(*dump);
    put_ranges_text(print, make_map(scan(paging, paging.root(), memory), {}));

    const Walk way = walk(paging, paging.root(), {std::stoull(argv[2], nullptr, 0)}, memory);
    const ExplainedAddress explained{explain(way, paging, state, memory_types({})), {}, ""};
    const ExplainedSpace space{.mode = paging_mode(paging.registers()),
                               .root = paging.root(),
                               .assumed = assumed,
                               .maxphyaddr_is_assumed = true};
    put_explanations_text(print, space, {&explained, 1});
} catch (const std::exception& error) {
    std::fprintf(stderr, "dump_map: %s\n", error.what());
    return 1;
}
