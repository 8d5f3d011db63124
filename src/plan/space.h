// How a kernel lays out its scratch, and what it saves.
#pragma once

#include "plan/arena.h"

#include <cstddef>

namespace descent {

// Places in one block of memory, each aligned as the arena is.
class Space {
 public:
  std::size_t take(std::size_t bytes) {
    const std::size_t at = bytes_;
    bytes_ += (bytes + arena_alignment - 1) / arena_alignment * arena_alignment;
    return at;
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::size_t bytes_ = 0;
};

}  // namespace descent
