// Sums over the batch in a fixed number of parts, whatever the threads.
#pragma once

#include "plan/norm_rule.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace descent {

class NormSums {
 public:
  // `blocks`: pictures, or blocks of them, that are never cut.
  NormSums(std::int64_t blocks, std::int64_t channels)
      : blocks_(blocks), channels_(channels), parts_(std::min(blocks, most_parts)) {}

  [[nodiscard]] std::int64_t parts() const { return parts_; }
  [[nodiscard]] std::int64_t first_block(std::int64_t part) const { return blocks_ * part / parts_; }
  [[nodiscard]] std::size_t bytes() const { return static_cast<std::size_t>(2 * size()) * sizeof(double); }

  // One part's sums, a number a channel each.
  struct Part {
    double* first;
    double* second;

    void clear(std::int64_t channel, std::int64_t count) const {
      std::fill_n(first + channel, count, 0.0);
      std::fill_n(second + channel, count, 0.0);
    }
    void add(std::int64_t channel, const ChannelSums& sums) const {
      first[channel] += sums.first;
      second[channel] += sums.second;
    }
  };
  [[nodiscard]] Part part(void* sums, std::int64_t part) const {
    double* const begin = static_cast<double*>(sums) + part * channels_;
    return {begin, begin + size()};
  }
  [[nodiscard]] ChannelSums total(void* sums, std::int64_t channel) const {
    ChannelSums total;
    for (std::int64_t i = 0; i < parts_; ++i) {
      const Part of_part = part(sums, i);
      total.first += of_part.first[channel];
      total.second += of_part.second[channel];
    }
    return total;
  }

 private:
  static constexpr std::int64_t most_parts = 16;
  [[nodiscard]] std::int64_t size() const { return parts_ * channels_; }

  std::int64_t blocks_;
  std::int64_t channels_;
  std::int64_t parts_;
};

// The sums of each block, for those who come to the blocks in any order; added up in the order of NormSums, to
// the same bits.
class BlockSums {
 public:
  BlockSums(std::int64_t blocks, std::int64_t channels)
      : parts_(blocks, channels), blocks_(blocks), channels_(channels) {}

  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(blocks_ * channels_) * sizeof(ChannelSums);
  }
  [[nodiscard]] ChannelSums& of(ChannelSums* sums, std::int64_t block, std::int64_t channel) const {
    return sums[block * channels_ + channel];
  }
  // Over all blocks, into the first block's place; once, as sums of the others are lost.
  void add_up(ChannelSums* sums) const {
    for (std::int64_t part = 0; part < parts_.parts(); ++part) {
      ChannelSums* const of_part = sums + parts_.first_block(part) * channels_;
      for (std::int64_t block = parts_.first_block(part) + 1; block < parts_.first_block(part + 1); ++block) {
        add(sums + block * channels_, of_part);
      }
      if (part > 0) add(of_part, sums);
    }
  }

 private:
  void add(const ChannelSums* more, ChannelSums* to) const {
    for (std::int64_t c = 0; c < channels_; ++c) {
      to[c].first += more[c].first;
      to[c].second += more[c].second;
    }
  }

  NormSums parts_;
  std::int64_t blocks_;
  std::int64_t channels_;
};

}  // namespace descent
