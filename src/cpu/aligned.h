// Blocks of zeroed, 64-byte aligned host memory.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace descent {

// Large blocks are pages of their own: nobody writes the zeros, pages that are never touched are never taken,
// and all of them go back to the system with the block. The system may join them to huge pages. Throws
// std::bad_alloc.
[[nodiscard]] void* allocate_zeroed(std::size_t bytes);
void release_zeroed(void* data) noexcept;  // of allocate_zeroed(); may be null

class AlignedBytes {
 public:
  static constexpr std::align_val_t alignment{64};

  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t bytes)
      : data_(bytes == 0 ? nullptr : static_cast<std::byte*>(allocate_zeroed(bytes))) {}

  [[nodiscard]] void* data() const noexcept { return data_.get(); }

 private:
  struct Release {
    void operator()(std::byte* data) const noexcept { release_zeroed(data); }
  };
  std::unique_ptr<std::byte, Release> data_;
};

}  // namespace descent
