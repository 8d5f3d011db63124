#include "base/pages.h"

#include <sys/mman.h>
#include <unistd.h>

namespace descent {

void reserve_in_large_pages(std::vector<std::uint8_t>& bytes, std::size_t count) {
  constexpr std::size_t worth_it = std::size_t{4} << 20U;
  bytes.reserve(count);
  if (count < worth_it) return;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t before = (page - address % page) % page;
  static_cast<void>(::madvise(bytes.data() + before, count - before, MADV_HUGEPAGE));  // only saves time
}

}  // namespace descent
