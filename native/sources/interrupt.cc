#include "sources/interrupt.h"

#include <csignal>

namespace ptmap {

bool interrupt_pending() {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGINT) == 1;
}

}  // namespace ptmap
