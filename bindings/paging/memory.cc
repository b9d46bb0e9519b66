#include "memory.h"

#include <pybind11/stl.h>

#include <cstring>

#include "paging/linear_memory.h"
#include "paging/read_once.h"
#include "sources/interrupt.h"

namespace py = pybind11;
using namespace ptmap;

namespace {

struct NotRead {};  // an answer: Ctrl-C came before the read

void take(Fetch& read, const py::object& answer) {
    if (py::isinstance<NotRead>(answer)) {
        read.why = "interrupted";
        read.interrupted = true;
        return;
    }
    if (py::isinstance<py::str>(answer)) {
        read.why = answer.cast<std::string>();
        return;
    }
    const py::buffer_info bytes = py::cast<py::buffer>(answer).request();
    if (bytes.size * bytes.itemsize != static_cast<py::ssize_t>(read.to.size()))
        throw py::value_error("fetch: an answer's length is not what was asked for");
    std::memcpy(read.to.data(), bytes.ptr, read.to.size());
    read.ok = true;
}

// The other way: any memory, called from Python.
py::list call(PhysicalMemory& memory,
              const std::vector<std::pair<std::uint64_t, std::size_t>>& wanted) {
    std::vector<std::vector<std::byte>> buffers;
    std::vector<Fetch> reads;
    for (const auto& [address, length] : wanted) {
        buffers.emplace_back(length);
        reads.push_back({{address}, buffers.back()});
    }
    memory.fetch(reads);
    py::list answers;
    for (const Fetch& read : reads) {
        if (read.ok)
            answers.append(python_bytes(read.to));
        else
            answers.append(read.why);
    }
    return answers;
}

// A ReadOnce that owns what a Python callable needs.
class OwningReadOnce : private MemoryArgument, public ReadOnce {
public:
    explicit OwningReadOnce(const py::object& source)
        : MemoryArgument(source), ReadOnce(**static_cast<MemoryArgument*>(this)) {}
};

// (address, size, physical address)
using KnownTuple = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>;

std::vector<LinearMemory::Known> known_of(const std::vector<KnownTuple>& given) {
    std::vector<LinearMemory::Known> known;
    for (const auto& [first, size, pa] : given) known.push_back({{first}, size, {pa}});
    return known;
}

std::variant<py::bytes, std::string> read(LinearMemory& memory, std::uint64_t va,
                                          std::size_t length) {
    std::vector<std::byte> bytes(length);
    std::string why = memory.why_unread({va}, bytes);
    if (!why.empty()) return why;
    return python_bytes(bytes);
}

void bind_linear_memory(py::module_& m) {
    py::class_<LinearMemory>(m, "LinearMemory",
                             "What a root's tables map; see native/paging/linear_memory.h.")
        .def(py::init([](const Paging& paging, std::uint64_t root, PhysicalMemory& memory,
                         const std::vector<KnownTuple>& known) {
                 return LinearMemory(paging, {root}, memory, known_of(known));
             }),
             py::arg("paging"), py::arg("root"), py::arg("memory"),
             py::arg("known") = std::vector<KnownTuple>{}, py::keep_alive<1, 2>(),
             py::keep_alive<1, 4>(),
             "`known` are (address, size, physical address) for which no table is read.")
        .def(
            "translate",
            [](LinearMemory& memory, std::uint64_t va) {
                const auto pa = memory.translate({va});
                return pa ? std::optional(pa->value) : std::nullopt;
            },
            py::arg("va"))
        .def("read", &read, py::arg("va"), py::arg("length"), "The bytes, or why they are unread.");
}

}  // namespace

Pulse until_interrupted(Pulse pulse) {
    return [pulse = std::move(pulse)](std::size_t done) {
        if (interrupt_pending()) throw Interrupted();
        if (pulse) pulse(done);
    };
}

py::bytes python_bytes(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void PythonMemory::fetch(std::span<Fetch> reads) {
    py::list wanted;
    for (const Fetch& read : reads)
        wanted.append(py::make_tuple(read.address.value, read.to.size()));
    const py::sequence answers = fetch_(wanted);
    if (answers.size() != reads.size())
        throw py::value_error("fetch: as many answers as reads are expected");
    for (std::size_t i = 0; i < reads.size(); ++i) take(reads[i], answers[i]);
}

MemoryArgument::MemoryArgument(const py::object& given) {
    if (py::isinstance<PhysicalMemory>(given)) {
        memory_ = given.cast<PhysicalMemory*>();
        return;
    }
    own_ = std::make_unique<PythonMemory>(given.cast<py::function>());
    memory_ = own_.get();
}

void bind_memory(py::module_& m) {
    py::register_exception_translator([](std::exception_ptr thrown) {
        try {
            if (thrown) std::rethrow_exception(thrown);
        } catch (const Interrupted&) {
            PyErr_SetNone(PyExc_KeyboardInterrupt);
        }
    });

    py::class_<NotRead>(m, "Interrupted", "An answer of a source: Ctrl-C came before the read.")
        .def(py::init<>());

    py::class_<PhysicalMemory>(m, "PhysicalMemory")
        .def("__call__", &call, py::arg("wanted"),
             "Bytes, or the reason why there are none, for each (address, length).");

    py::class_<OwningReadOnce, PhysicalMemory>(m, "ReadOnce")
        .def(py::init<const py::object&>(), py::arg("source"), py::keep_alive<1, 2>())
        .def("forget", &OwningReadOnce::forget)
        .def("forget_failures", &OwningReadOnce::forget_failures)
        .def_property_readonly("bytes", &OwningReadOnce::bytes, "From the source, so far.")
        .def_property_readonly(
            "seconds", [](const OwningReadOnce& memory) { return memory.time().count(); },
            "That reading them took.");

    bind_linear_memory(m);
}
