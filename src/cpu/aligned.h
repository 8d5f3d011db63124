// A block of zeroed, 64-byte aligned host memory.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace descent {

class AlignedBytes {
 public:
  static constexpr std::align_val_t alignment{64};

  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t bytes)
      : data_(bytes == 0 ? nullptr : static_cast<std::byte*>(::operator new(bytes, alignment))) {
    if (bytes != 0) std::memset(data_.get(), 0, bytes);
  }

  [[nodiscard]] void* data() const noexcept { return data_.get(); }

 private:
  struct Release {
    void operator()(std::byte* data) const noexcept { ::operator delete(data, alignment); }
  };
  std::unique_ptr<std::byte, Release> data_;
};

}  // namespace descent
