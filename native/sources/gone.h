// The end of a source.
#pragma once

#include <stdexcept>

namespace ptmap {

/// Thrown if a source can no longer be read; what() is one sentence for the user.
class SourceGone : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

}  // namespace ptmap
