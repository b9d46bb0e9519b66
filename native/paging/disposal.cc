#include "paging/disposal.h"

#include <pthread.h>

#include <csignal>
#include <exception>
#include <thread>

namespace ptmap {

void do_apart(std::function<void()> work) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread inherits the mask
    try {
        std::thread([work] { work(); }).detach();
    } catch (const std::exception&) {  // no more threads, or no memory for one
        work();
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace ptmap
