#include "descent/augment.h"

#include "descent/error.h"
#include "descent/random.h"

#include <algorithm>
#include <limits>
#include <string>

namespace descent {

void check_augmentation(const Augmentation& augmentation, const Shape& picture) {
  constexpr std::int64_t most = std::numeric_limits<std::int16_t>::max();  // of PictureView
  const std::int64_t limit = std::min({picture[1] - 1, picture[2] - 1, most});
  if (augmentation.shift >= 0 && augmentation.shift <= limit) return;
  throw Error("pictures of " + to_string(picture) + " can be shifted by 0 to " + std::to_string(limit) +
              " pixels, not by " + std::to_string(augmentation.shift));
}

std::vector<PictureView> augmented_views(const Augmentation& augmentation, std::uint64_t seed,
                                         std::uint32_t epoch, std::uint64_t first, std::size_t count) {
  std::vector<PictureView> views;
  if (!augmentation.any()) return views;
  const RandomKey key{.seed = seed, .purpose = Purpose::augment, .epoch = epoch};
  const auto moved = [&](std::uint32_t bits) {
    const auto ways = static_cast<std::uint64_t>(2 * augmentation.shift + 1);
    return static_cast<std::int16_t>(static_cast<std::int64_t>((bits * ways) >> 32U) - augmentation.shift);
  };
  views.reserve(count);
  for (std::uint64_t position = first; position < first + count; ++position) {
    const RandomBits bits = random_bits(key, position);
    views.push_back({moved(bits[0]), moved(bits[1]), augmentation.flip && bits[2] >> 31U == 1});
  }
  return views;
}

}  // namespace descent
