// Ctrl-C, SIGTERM and SIGHUP (the terminal has gone) end a fit after the step at hand; a second one ends the
// program at once. Before the first step, while plans are made, one is enough: there is nothing to save.
#pragma once

#include "descent/train.h"

namespace descent::cli {

class Interrupt : public Observer {
 public:
  Interrupt() = default;
  ~Interrupt() override;  // gives the signals back
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  void before_fit(FitState& state) override;   // takes the signals
  void after_batch(FitState& state) override;  // throws Cancel{Scope::fit}; the last in the list of observers
  [[nodiscard]] static int signal();           // the one that came; 0: none
};

}  // namespace descent::cli
