// Ctrl-C while a source reads.
#pragma once

namespace ptmap {

/// Whether SIGINT was sent and is held back: whoever reads blocks it, so that nothing is left half
/// done, and sources ask between two of their reads.
bool interrupt_pending();

/// Thrown by a source that stops for it.
struct Interrupted {};

}  // namespace ptmap
