// Ctrl-C while a source reads.
#pragma once

namespace ptmap {

/// Whether SIGINT is pending. It is blocked while memory is read, so that nothing is left half
/// done; sources ask between two reads.
bool interrupt_pending();

/// Thrown by a source that stops for it.
struct Interrupted {};

}  // namespace ptmap
