#include "cpu/context.h"

#include "cpu/denormals.h"

#include <omp.h>
#include <signal.h>

#include <initializer_list>

namespace descent {

namespace {

// Kernels of oneDNN's move the stack pointer into memory of their own: no handler may run there.
void leave_signals_to_others() {
  sigset_t all;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) ::sigdelset(&all, fault);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

void enter(const CpuContext& context) {
  // Threads that a smaller team leaves out end; a larger one has new ones.
  thread_local int entered = 0;
  if (omp_get_max_threads() != context.threads) omp_set_num_threads(context.threads);
  if (entered == context.threads && denormals_are_flushed()) return;
  entered = context.threads;
  flush_denormals();
#pragma omp parallel num_threads(context.threads)
  {
    flush_denormals();
    if (omp_get_thread_num() > 0) leave_signals_to_others();
  }
}

}  // namespace descent
