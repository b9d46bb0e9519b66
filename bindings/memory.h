// Physical memory on its way between Python and the core.
#pragma once

#include <pybind11/pybind11.h>

#include "paging/memory.h"
#include "paging/pulse.h"

/// Memory that a Python callable reads:
///
///     fetch([(address, length), ...]) -> [bytes | str | Interrupted, ...]
///
/// answers each read with its bytes or with the reason why there are none, Interrupted() if Ctrl-C
/// came before it. It is called once for many tables. An exception that it raises crosses the core
/// unchanged.
class PythonMemory : public ptmap::PhysicalMemory {
public:
    explicit PythonMemory(pybind11::function fetch) : fetch_(std::move(fetch)) {}
    void fetch(std::span<ptmap::Fetch> reads) override;

private:
    pybind11::function fetch_;
};

/// A parameter for memory: a _core.PhysicalMemory, or such a callable.
class MemoryArgument {
public:
    explicit MemoryArgument(const pybind11::object& given);
    ptmap::PhysicalMemory& operator*() { return *memory_; }

private:
    std::unique_ptr<PythonMemory> own_;
    ptmap::PhysicalMemory* memory_;
};

/// A pulse that raises KeyboardInterrupt if SIGINT is pending (it is blocked while memory is read),
/// and then calls another pulse (if there is one).
ptmap::Pulse until_interrupted(ptmap::Pulse pulse);

/// These bytes as Python's.
pybind11::bytes python_bytes(std::span<const std::byte> bytes);
