#include "cli/interrupt.h"

#include <signal.h>
#include <unistd.h>

namespace descent::cli {

namespace {

// A signal handler can reach nothing else.
volatile sig_atomic_t received = 0;

extern "C" void receive(int number) {
  if (received != 0) ::_exit(128 + number);
  received = number;
}

void handle(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) ::sigaction(SIGHUP, &action, nullptr);  // nohup ignores it
}

}  // namespace

Interrupt::Interrupt() {
  handle(receive);
}

Interrupt::~Interrupt() {
  handle(SIG_DFL);
}

void Interrupt::after_batch(FitState& /*state*/) {
  if (received != 0) throw Cancel{Scope::fit};
}

int Interrupt::signal() {
  return received;
}

}  // namespace descent::cli
