// Which elements a dropout keeps: the one convention of all devices. constexpr, so that CUDA code can
// call it too.
#pragma once

#include "descent/random.h"

#include <cstddef>
#include <cstdint>

namespace descent {

// The stream of one dropout layer in one epoch; `layer` is its index in the network.
constexpr RandomKey dropout_key(std::uint64_t seed, std::uint32_t epoch, std::size_t layer) {
  return {seed, Purpose::dropout, epoch, static_cast<std::uint32_t>(layer)};
}

// Where picture `picture` (counted from the epoch's first) draws for its element `element`. The draw
// follows the picture, however the epoch is cut into batches. With Dropout::channels the draws of a
// picture are its channels: `per_picture` is C and `element` the channel; else C·H·W and the element.
constexpr std::uint64_t dropout_position(std::uint64_t picture, std::uint64_t per_picture,
                                         std::uint64_t element) {
  return picture * per_picture + element;
}

// True if the draw at `position` keeps its element or channel; false with probability `p`.
constexpr bool keeps(const RandomKey& key, std::uint64_t position, double p) {
  return static_cast<double>(uniform(random_bits(key, position)[0])) >= p;
}

}  // namespace descent
