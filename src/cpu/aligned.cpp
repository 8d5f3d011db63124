#include "cpu/aligned.h"

#include <sys/mman.h>

#include <cstring>

namespace descent {

namespace {

// What lies before a block's first byte, in 64 bytes of its own.
struct Header {
  std::size_t mapped = 0;  // bytes of the mapping, this header included; 0: from the heap
};
constexpr std::size_t header_bytes = 64;
constexpr std::size_t worth_pages = std::size_t{1} << 20U;

}  // namespace

void* allocate_zeroed(std::size_t bytes) {
  const std::size_t whole = bytes + header_bytes;
  if (whole < bytes) throw std::bad_alloc();
  Header header;
  void* begin = nullptr;
  if (bytes >= worth_pages) {
    begin = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) throw std::bad_alloc();
    static_cast<void>(::madvise(begin, whole, MADV_HUGEPAGE));  // only saves time
    header.mapped = whole;
  } else {
    begin = ::operator new(whole, AlignedBytes::alignment);
    std::memset(begin, 0, whole);
  }
  std::memcpy(begin, &header, sizeof header);
  return static_cast<std::byte*>(begin) + header_bytes;
}

void release_zeroed(void* data) noexcept {
  if (data == nullptr) return;
  void* const begin = static_cast<std::byte*>(data) - header_bytes;
  Header header;
  std::memcpy(&header, begin, sizeof header);
  if (header.mapped > 0) {
    ::munmap(begin, header.mapped);
  } else {
    ::operator delete(begin, AlignedBytes::alignment);
  }
}

}  // namespace descent
