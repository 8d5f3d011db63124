#include "descent/data.h"
#include "descent/error.h"
#include "descent/random.h"

#include <limits>
#include <numeric>
#include <utility>

namespace descent {

std::vector<std::uint32_t> epoch_order(std::size_t count, bool shuffle, std::uint64_t seed,
                                       std::uint32_t epoch) {
  if (count > std::numeric_limits<std::uint32_t>::max()) {
    throw Error("a data set of " + std::to_string(count) + " pictures is too large: at most 4294967295");
  }
  std::vector<std::uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  if (!shuffle) return order;
  const RandomKey key{.seed = seed, .purpose = Purpose::shuffle, .epoch = epoch};
  for (std::size_t last = count; last-- > 1;) {
    std::swap(order[last], order[uniform_below(key, last, last + 1)]);
  }
  return order;
}

}  // namespace descent
