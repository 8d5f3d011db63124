// How a kernel lays out its scratch, and what it saves.
#pragma once

#include <cstddef>

namespace descent {

// Places in one block of memory, each on a line of its own.
class Space {
 public:
  std::size_t take(std::size_t bytes) {
    const std::size_t at = bytes_;
    bytes_ += (bytes + line - 1) / line * line;
    return at;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t line = 64;
  std::size_t bytes_ = 0;
};

}  // namespace descent
