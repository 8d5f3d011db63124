// The clock for short times.
#pragma once

#include <chrono>

namespace descent {

// Since some moment; never goes back.
[[nodiscard]] inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace descent
