// The one error type of descent. A message is one sentence: what is wrong, where, and what to do.
#pragma once

#include <stdexcept>
#include <string>

namespace descent {

// Who has to act. The program's exit code follows from it.
enum class Fault {
  usage,    // the caller's options, files or pictures: exit code 2
  failure,  // the run itself: a loss that is not finite, a disk that is full: exit code 1
};

class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, Fault fault = Fault::usage)
      : std::runtime_error(message), fault_(fault) {}

  [[nodiscard]] Fault fault() const noexcept { return fault_; }
  [[nodiscard]] int exit_code() const noexcept { return fault_ == Fault::usage ? 2 : 1; }

 private:
  Fault fault_;
};

}  // namespace descent
