// A block a picture or a part of one, a thread four neighbouring elements of the input where memory keeps them
// together, and on the way the indicator row of the picture's label. Bound: bytes, a byte read and an element
// written. Where the data set lies on the device, what travels there a step is four bytes a picture, and six
// more where pictures are mirrored and moved.
#include "cuda/launch.h"
#include "cuda/layouts.h"
#include "cuda/load.h"
#include "cuda/pack.h"
#include "descent/error.h"
#include "plan/element.h"
#include "plan/load_check.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace descent {
namespace {

constexpr int threads = 256;
constexpr std::size_t most_channels = 64;

struct ChannelScales {
  float mean[most_channels];
  float std[most_channels];
};

struct Batch {
  const std::uint8_t* pictures;
  const std::int32_t* labels;
  const std::uint32_t* indices;  // null: the pictures of the batch, in order
  const PictureView* views;      // of the pictures of the batch, in order, where there are any
  std::int64_t count;
  unsigned channels;
  unsigned plane;
  unsigned row;  // pixels
  // The labels' rows; null: not asked for.
  float* targets;
  unsigned classes;
};

__device__ std::int64_t picture_of(const Batch& batch, std::int64_t n) {
  return batch.indices == nullptr ? n : std::int64_t{batch.indices[n]};
}

// Each operation rounds, as in PyTorch.
__device__ float normalised(std::uint8_t byte, const ChannelScales& scales, unsigned channel) {
  const float value = __fdiv_rn(static_cast<float>(byte), 255.0F);
  return __fdiv_rn(__fsub_rn(value, scales.mean[channel]), scales.std[channel]);
}

// Where in its channel that pixel of a view comes from; −1: from nowhere.
__device__ int origin(const PictureView& view, const Batch& batch, unsigned pixel) {
  const int row = static_cast<int>(batch.row);
  const int height = static_cast<int>(batch.plane) / row;
  const int y = static_cast<int>(pixel) / row - view.down;
  const int x = static_cast<int>(pixel) % row - view.right;
  if (y < 0 || y >= height || x < 0 || x >= row) return -1;
  return y * row + (view.mirrored ? row - 1 - x : x);
}

// Blocks: x pictures, of which each takes every gridDim.x-th; y parts of a picture. With `width` 4 the bytes of
// a picture lie in the input's order, and channels have a multiple of four of them; views go element by
// element.
template <int width, bool viewed, class Element>
__global__ void gather(Batch batch, ChannelScales scales, bool channels_last, Element* to) {
  const unsigned each = batch.channels * batch.plane;
  for (std::int64_t n = blockIdx.x; n < batch.count; n += gridDim.x) {
    const std::int64_t picture = picture_of(batch, n);
    const std::uint8_t* const from = batch.pictures + picture * each;
    if (batch.targets != nullptr && blockIdx.y == 0) {
      const std::int32_t label = batch.labels[picture];
      for (unsigned k = threadIdx.x; k < batch.classes; k += blockDim.x)
        batch.targets[n * batch.classes + k] = static_cast<std::int32_t>(k) == label ? 1.0F : 0.0F;
    }
    const unsigned step = gridDim.y * blockDim.x * width;
    for (unsigned i = (blockIdx.y * blockDim.x + threadIdx.x) * width; i < each; i += step) {
      const unsigned pixel = channels_last ? i / batch.channels : i % batch.plane;
      const unsigned channel = channels_last ? i - pixel * batch.channels : i / batch.plane;
      float values[width];
      if constexpr (viewed) {
        const int there = origin(batch.views[n], batch, pixel);
        values[0] = there < 0 ? 0 : normalised(from[channel * batch.plane + there], scales, channel);
      } else {
        const Pack<std::uint8_t, width> bytes = load_pack<width>(from + channel * batch.plane + pixel);
#pragma unroll
        for (int j = 0; j < width; ++j) values[j] = normalised(bytes.values[j], scales, channel);
      }
      store_floats<width>(to + n * each + i, values);
    }
  }
}

// So many that a thread has a few packs of elements: large pictures would else leave most of a device idle.
unsigned parts_of_a_picture(const Batch& batch, unsigned width) {
  constexpr unsigned packs_a_thread = 4;
  constexpr unsigned most = 64;
  const unsigned of_a_part = threads * packs_a_thread * width;
  return std::clamp((batch.channels * batch.plane + of_a_part - 1) / of_a_part, 1U, most);
}

void put(std::byte* to, std::span<const PictureView> views) {
  if (!views.empty()) std::memcpy(to, views.data(), views.size_bytes());
}

// The batch's own labels, views and pictures, one after the other.
Batch stream_batch(CudaState& state, const PictureSource& source, const PictureBatch& pictures,
                   bool with_labels) {
  const std::span<const std::uint32_t> indices = pictures.indices;
  const auto each = static_cast<std::size_t>(source.shape.elements());
  const std::size_t labels = with_labels ? indices.size() * sizeof(std::int32_t) : 0;
  const std::size_t before = labels + pictures.views.size_bytes();
  std::byte* const place = state.staging->take(before + indices.size() * each);
  put(place + labels, pictures.views);
  for (std::size_t n = 0; n < indices.size(); ++n) {
    if (with_labels)
      std::memcpy(place + n * sizeof(std::int32_t), &source.labels[indices[n]], sizeof(std::int32_t));
    std::memcpy(place + before + n * each, source.pictures.data() + indices[n] * each, each);
  }
  const std::byte* const there = state.staging->send(before + indices.size() * each);
  Batch batch{};
  batch.labels = reinterpret_cast<const std::int32_t*>(there);
  batch.views = reinterpret_cast<const PictureView*>(there + labels);
  batch.pictures = reinterpret_cast<const std::uint8_t*>(there + before);
  return batch;
}

Batch placed_batch(CudaState& state, const CudaPictures& placed, const PictureBatch& pictures) {
  const std::size_t indices = pictures.indices.size_bytes();
  const std::size_t bytes = indices + pictures.views.size_bytes();
  std::byte* const place = state.staging->take(bytes);
  std::memcpy(place, pictures.indices.data(), indices);
  put(place + indices, pictures.views);
  const std::byte* const there = state.staging->send(bytes);
  Batch batch{};
  batch.indices = reinterpret_cast<const std::uint32_t*>(there);
  batch.views = reinterpret_cast<const PictureView*>(there + indices);
  batch.pictures = placed.pictures();
  batch.labels = placed.labels();
  return batch;
}

}  // namespace

CudaPictures::CudaPictures(const CudaContext& context, const PictureSource& source)
    : pictures_(source.pictures.size_bytes()), labels_(source.labels.size_bytes()) {
  const auto send = [&](void* to, const auto& from) {
    if (from.empty()) return;
    check(cudaMemcpyAsync(to, from.data(), from.size_bytes(), cudaMemcpyHostToDevice, context.stream),
          "cudaMemcpyAsync");
  };
  send(pictures_.as(), source.pictures);
  send(labels_.as(), source.labels);
  check(cudaStreamSynchronize(context.stream), "cudaStreamSynchronize");
}

void load_pictures_cuda(CudaState& state, const PictureSource& source, const PictureBatch& pictures,
                        const Tensor& input, const Tensor* targets) {
  check_batch(source, pictures, input, targets);
  if (source.shape[0] > static_cast<std::int64_t>(most_channels)) {
    throw Error("pictures of " + to_string(source.shape) +
                " have too many channels for a CUDA device: at most " + std::to_string(most_channels));
  }
  ChannelScales scales{};
  for (std::size_t c = 0; c < static_cast<std::size_t>(source.shape[0]); ++c) {
    scales.mean[c] = source.normalisation == nullptr ? 0 : source.normalisation->mean[c];
    scales.std[c] = source.normalisation == nullptr ? 1 : source.normalisation->std[c];
  }
  const auto* const placed = dynamic_cast<const CudaPictures*>(source.placed);
  Batch batch = placed != nullptr ? placed_batch(state, *placed, pictures)
                                  : stream_batch(state, source, pictures, targets != nullptr);
  batch.count = static_cast<std::int64_t>(pictures.indices.size());
  batch.channels = static_cast<unsigned>(source.shape[0]);
  batch.plane = static_cast<unsigned>(source.shape.elements() / source.shape[0]);
  batch.row = static_cast<unsigned>(source.shape[2]);
  if (targets != nullptr) {
    batch.targets = static_cast<float*>(targets->data);
    batch.classes = static_cast<unsigned>(targets->desc.shape[1]);
  }
  const bool channels_last = input.desc.layout == nhwc && batch.channels > 1;
  const bool viewed = !pictures.views.empty();
  // The bytes of one's own batch follow the labels, four bytes each.
  const bool in_packs = !viewed && !channels_last && batch.plane % 4 == 0;
  Grid grid = grid_for(state.context, batch.count * threads, threads);
  grid.blocks.y = parts_of_a_picture(batch, in_packs ? 4 : 1);
  with_element(input.desc.type, [&]<class Element>(Element /*type*/) {
    const auto kernel = viewed     ? gather<1, true, Element>
                        : in_packs ? gather<4, false, Element>
                                   : gather<1, false, Element>;
    launch(state.context, "loading pictures", grid, kernel, batch, scales, channels_last,
           static_cast<Element*>(input.data));
  });
}

}  // namespace descent
