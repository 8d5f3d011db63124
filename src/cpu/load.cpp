// A batch from a set of pictures: bytes, gathered from anywhere in it, to normalised numbers in the order in
// which the first layer reads them.
// Idea: where the first layer reads sixteen pictures side by side, sixteen pixels of each are turned in
// registers; meanwhile the next sixteen pictures are asked for, because memory would be waited for at each.
// Bound: bytes, one read and four written a pixel. Measured with two threads of a Zen 4 in a step of convnet
// (1024 pictures of 28×28, of 8192): 0.14 to 0.17 ms, 24 to 29 GB/s, where copies in cache reach 185: the
// rest goes to divisions, two a pixel, which round as PyTorch's do, and to waiting for pictures.
// Pictures that are seen mirrored or moved are copied first, and what came in at the edges is made zero behind
// it: in an epoch of 60 000 on a Zen 3 that took 0.79 s instead of 0.73 at the least, as long by the medians
// (tools/compare_options '--watch none' '--watch none --flip --shift 2').
#include "cpu/blocking.h"
#include "cpu/kernels.h"
#include "cpu/lanes.h"
#include "cpu/parallel.h"
#include "cpu/picture_view.h"
#include "cpu/simd.h"
#include "plan/element.h"
#include "plan/load_check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace descent {
namespace {

// Each operation rounds, as in PyTorch.
DESCENT_CLONES void normalise(const std::uint8_t* from, float* to, std::size_t count, float mean, float std) {
#pragma omp simd
  for (std::size_t i = 0; i < count; ++i) to[i] = (static_cast<float>(from[i]) / 255.0F - mean) / std;
}

// One picture, as it lies in the source.
void load_plain(const std::uint8_t* from, const Normalisation* normalisation, std::size_t channels,
                std::size_t plane, float* to) {
  for (std::size_t c = 0; c < channels; ++c) {
    normalise(from, to, plane, normalisation == nullptr ? 0 : normalisation->mean[c],
              normalisation == nullptr ? 1 : normalisation->std[c]);
    from += plane;
    to += plane;
  }
}

using Bytes = std::uint8_t __attribute__((vector_size(16)));

// Row and column change places in four steps; each puts the halves of two rows side by side, element by
// element.
[[gnu::always_inline]] inline void transpose(std::array<Bytes, 16>& rows) {
  for (int step = 0; step < 4; ++step) {
    std::array<Bytes, 16> next;
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 8; ++i) {
      next[2 * i] =
          __builtin_shufflevector(rows[i], rows[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(rows[i], rows[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                                29, 14, 30, 15, 31);
    }
    rows = next;
  }
}

// The same operations on sixteen pictures.
template <class Element>
[[gnu::always_inline]] inline void normalise_pixel(const Bytes& bytes, float mean, float std, Element* to) {
  for (std::size_t lane = 0; lane < 16; ++lane) {
    to[lane] = to_element<Element>((static_cast<float>(bytes[lane]) / 255.0F - mean) / std);
  }
}

// One channel of sixteen pictures side by side, sixteen pixels at a time; from one pixel to the next `step`.
template <class Element>
DESCENT_CLONES void load_lanes(const std::array<const std::uint8_t*, lanes>& pictures, std::size_t first,
                               std::size_t plane, float mean, float std, Element* to, std::size_t step) {
  std::size_t pixel = 0;
  for (; pixel + 16 <= plane; pixel += 16) {
    std::array<Bytes, 16> rows;
#pragma GCC unroll 16
    for (std::size_t lane = 0; lane < 16; ++lane) std::memcpy(&rows[lane], pictures[lane] + first + pixel, 16);
    transpose(rows);
    for (std::size_t i = 0; i < 16; ++i) normalise_pixel(rows[i], mean, std, to + (pixel + i) * step);
  }
  for (; pixel < plane; ++pixel) {
    Bytes row;
    for (std::size_t lane = 0; lane < 16; ++lane) row[lane] = pictures[lane][first + pixel];
    normalise_pixel(row, mean, std, to + pixel * step);
  }
}

constexpr std::size_t most_fetched = 1024;  // bytes of each of sixteen pictures

// Pictures lie anywhere in their set: the next ones are asked for while these are worked on.
[[gnu::always_inline]] inline void fetch_ahead(const std::uint8_t* picture, std::size_t bytes) {
  constexpr std::size_t line = 64;
  for (std::size_t i = 0; i < bytes; i += line) __builtin_prefetch(picture + i);
}

}  // namespace

bool can_load_pictures_into(const TensorDesc& input) {
  const Format format = input.format();
  return format == Format{} || format == Format{DType::f32, n16chw} || format == Format{DType::bf16, n32chw};
}

void load_pictures(const CpuContext& context, const PictureSource& source, const PictureBatch& batch,
                   const Tensor& input, const Tensor* targets) {
  check_batch(source, batch, input, targets);
  const std::span<const std::uint32_t> indices = batch.indices;
  const std::span<const PictureView> views = batch.views;
  const auto channels = static_cast<std::size_t>(source.shape[0]);
  const auto per_picture = static_cast<std::size_t>(source.shape.elements());
  const std::size_t plane = per_picture / channels;
  const bool in_lanes = has_pictures_innermost(input.desc.layout);
  const auto width = static_cast<std::size_t>(in_lanes ? Blocking::lanes_in(input.desc.layout) : 1);
  const Normalisation* const normalisation = source.normalisation;
  auto* const rows = targets == nullptr ? nullptr : static_cast<float*>(targets->data);
  const std::size_t classes = targets == nullptr ? 0 : static_cast<std::size_t>(targets->desc.shape[1]);
  const auto fill = static_cast<std::int64_t>(std::max<std::size_t>(1, 4096 / per_picture));
  const auto step = static_cast<std::int64_t>(width);
  const std::int64_t grain = (fill + step - 1) / step * step;
  const auto picture = [&](std::size_t n) { return source.pictures.data() + indices[n] * per_picture; };

  // Picture n as it is seen: itself, or a copy in `room`.
  const auto seen = [&](std::size_t n, std::uint8_t* room) {
    if (views.empty()) return picture(n);
    copy_view(picture(n), views[n], source.shape, room);
    return static_cast<const std::uint8_t*>(room);
  };

  // Sixteen pictures from n on, in their places among the `width` of a vector.
  const auto load_sixteen = [&]<class Element>(std::size_t n, std::uint8_t* room, Element* values) {
    std::array<const std::uint8_t*, lanes> pictures{};
    for (std::size_t lane = 0; lane < pictures.size(); ++lane) {
      pictures[lane] = seen(n + lane, views.empty() ? room : room + lane * per_picture);
      const std::size_t next = n + lane + pictures.size();
      if (next < indices.size()) fetch_ahead(picture(next), std::min(per_picture, most_fetched));
    }
    Element* const to = values + n / width * width * per_picture + n % width;
    for (std::size_t c = 0; c < channels; ++c) {
      const float mean = normalisation == nullptr ? 0.0F : normalisation->mean[c];
      const float std = normalisation == nullptr ? 1.0F : normalisation->std[c];
      load_lanes(pictures, c * plane, plane, mean, std, to + c * plane * width, width);
    }
    if (views.empty()) return;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
      blank_outside(views[n + lane], source.shape, to + lane, width);
    }
  };
  const auto load = [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::uint8_t> room(views.empty() ? 0 : (in_lanes ? lanes : 1) * per_picture);
    for (auto n = static_cast<std::size_t>(begin); n < static_cast<std::size_t>(end); ++n) {
      if (!in_lanes) {
        float* const to = static_cast<float*>(input.data) + n * per_picture;
        load_plain(seen(n, room.data()), normalisation, channels, plane, to);
        if (!views.empty()) blank_outside(views[n], source.shape, to, 1);
      } else if (n % lanes == 0) {
        with_element(input.desc.type, [&]<class Element>(Element /*type*/) {
          load_sixteen(n, room.data(), static_cast<Element*>(input.data));
        });
      }
      if (rows == nullptr) continue;
      std::fill_n(rows + n * classes, classes, 0.0F);
      rows[n * classes + static_cast<std::size_t>(source.labels[indices[n]])] = 1.0F;
    }
  };
  parallel_for(context.threads, static_cast<std::int64_t>(indices.size()), grain, load);
}

}  // namespace descent
