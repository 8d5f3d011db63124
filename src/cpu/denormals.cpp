#include "cpu/denormals.h"

#include <omp.h>
#include <signal.h>
#include <xmmintrin.h>

#include <initializer_list>

namespace descent {

namespace {
constexpr unsigned flush_to_zero = 0x8000U;       // results
constexpr unsigned denormals_are_zero = 0x0040U;  // operands

// Kernels of oneDNN's move the stack pointer into memory of their own: no handler may run there.
void leave_signals_to_others() {
  sigset_t all;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) ::sigdelset(&all, fault);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

void flush_denormals(int threads) {
  const auto set = [] { _mm_setcsr(_mm_getcsr() | flush_to_zero | denormals_are_zero); };
  set();
#pragma omp parallel num_threads(threads > 1 ? threads : 1)
  {
    set();
    if (omp_get_thread_num() > 0) leave_signals_to_others();
  }
}

bool denormals_are_flushed() noexcept {
  constexpr unsigned both = flush_to_zero | denormals_are_zero;
  return (_mm_getcsr() & both) == both;
}

void enter(const CpuContext& context) {
  if (omp_get_max_threads() != context.threads) omp_set_num_threads(context.threads);
  if (!denormals_are_flushed()) flush_denormals(context.threads);
}

}  // namespace descent
