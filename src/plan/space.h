// How a kernel lays out its scratch, and what it saves.
#pragma once

#include <cstddef>

namespace descent {

// Places in one block of memory, each where any library takes a workspace.
class Space {
 public:
  std::size_t take(std::size_t bytes) {
    const std::size_t at = bytes_;
    bytes_ += (bytes + alignment - 1) / alignment * alignment;
    return at;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t alignment = 256;  // of the arena too
  std::size_t bytes_ = 0;
};

}  // namespace descent
