#include "data/make_inputs.h"

#include "base/pages.h"
#include "descent/error.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <limits>

namespace descent {

std::uint64_t most_data_set_bytes() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const long page = ::sysconf(_SC_PAGE_SIZE);
  if (pages <= 0 || page <= 0) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page) / 2;
}

std::vector<std::uint8_t> make_inputs(std::size_t count, const Shape& input,
                                      const std::function<Picture(std::size_t)>& picture,
                                      const std::string& source, std::uint64_t most_bytes) {
  const auto each = static_cast<std::size_t>(input.elements());
  if (each == 0 || count > most_bytes / each) {
    throw Error(fmt::format("'{}' would take {} × {} bytes of memory; this machine has {} to give", source,
                            count, to_string(input), most_bytes));
  }
  std::vector<std::uint8_t> inputs;
  reserve_in_large_pages(inputs, count * each);
  inputs.resize(count * each);
  std::exception_ptr failure;
  std::size_t failed = count;
  const auto last = static_cast<std::int64_t>(count);
#pragma omp parallel for schedule(dynamic, 8)
  for (std::int64_t i = 0; i < last; ++i) {
    const auto index = static_cast<std::size_t>(i);
    try {  // no exception may leave a parallel region
      const std::vector<std::uint8_t> bytes = to_input(picture(index), input, PictureRule{});
      std::copy(bytes.begin(), bytes.end(), inputs.begin() + i * static_cast<std::int64_t>(each));
    } catch (...) {
#pragma omp critical(descent_make_inputs)
      if (index < failed) {
        failed = index;
        failure = std::current_exception();
      }
    }
  }
  if (failure) std::rethrow_exception(failure);
  return inputs;
}

}  // namespace descent
