#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace descent::cli {

namespace {

// A signal handler can reach nothing else.
volatile sig_atomic_t received = 0;

extern "C" void receive(int number) {
  if (received != 0) ::_exit(128 + number);
  received = number;
}

// Kernels of oneDNN's move the stack pointer into memory of their own: a handler on that "stack" would write
// over what lies beside. This one is for handlers alone.
constexpr std::size_t handlers_bytes = std::size_t{1} << 16U;
alignas(16) std::array<char, handlers_bytes> handlers_stack;

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // nohup ignores it
}

}  // namespace

Interrupt::~Interrupt() {
  handle(SIG_DFL);
}

void Interrupt::before_fit(FitState& /*state*/) {
  stack_t stack{};
  stack.ss_sp = handlers_stack.data();
  stack.ss_size = handlers_stack.size();
  ::sigaltstack(&stack, nullptr);
  handle(receive);
}

void Interrupt::after_batch(FitState& /*state*/) {
  if (received != 0) throw Cancel{Scope::fit};
}

int Interrupt::signal() {
  return received;
}

}  // namespace descent::cli
