// One thread an element of the input. Bound: bytes, a byte read and an element written. Where the data set lies
// on the device, what travels there a step is four bytes a picture.
#include "cuda/launch.h"
#include "cuda/layouts.h"
#include "cuda/load.h"
#include "descent/error.h"
#include "plan/element.h"
#include "plan/load_check.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace descent {
namespace {

constexpr std::size_t most_channels = 64;

struct ChannelScales {
  float mean[most_channels];
  float std[most_channels];
};

struct Batch {
  const std::uint8_t* pictures;
  const std::int32_t* labels;
  const std::uint32_t* indices;  // null: the pictures of the batch, in order
  std::int64_t count;
  std::int64_t channels;
  std::int64_t plane;
};

__device__ std::int64_t picture_of(const Batch& batch, std::int64_t n) {
  return batch.indices == nullptr ? n : std::int64_t{batch.indices[n]};
}

// Each operation rounds, as in PyTorch.
template <class Element>
__global__ void gather(Batch batch, ChannelScales scales, bool channels_last, Element* to) {
  const std::int64_t each = batch.channels * batch.plane;
  for (const std::int64_t i : grid_stride(batch.count * each)) {
    const std::int64_t inside = i % each;
    const std::int64_t channel = channels_last ? inside % batch.channels : inside / batch.plane;
    const std::int64_t pixel = channels_last ? inside / batch.channels : inside % batch.plane;
    const std::uint8_t byte =
        batch.pictures[picture_of(batch, i / each) * each + channel * batch.plane + pixel];
    const float value = __fdiv_rn(static_cast<float>(byte), 255.0F);
    to[i] = to_element<Element>(__fdiv_rn(__fsub_rn(value, scales.mean[channel]), scales.std[channel]));
  }
}

__global__ void indicate(Batch batch, std::int64_t classes, float* targets) {
  for (const std::int64_t i : grid_stride(batch.count * classes)) {
    const std::int32_t label = batch.labels[picture_of(batch, i / classes)];
    targets[i] = i % classes == label ? 1.0F : 0.0F;
  }
}

// The batch's own pictures and labels, one after the other.
Batch stream_batch(CudaState& state, const PictureSource& source, std::span<const std::uint32_t> indices,
                   bool with_labels) {
  const auto each = static_cast<std::size_t>(source.shape.elements());
  const std::size_t labels = with_labels ? indices.size() * sizeof(std::int32_t) : 0;
  std::byte* const place = state.staging->take(labels + indices.size() * each);
  for (std::size_t n = 0; n < indices.size(); ++n) {
    if (with_labels)
      std::memcpy(place + n * sizeof(std::int32_t), &source.labels[indices[n]], sizeof(std::int32_t));
    std::memcpy(place + labels + n * each, source.pictures.data() + indices[n] * each, each);
  }
  const std::byte* const there = state.staging->send(labels + indices.size() * each);
  Batch batch{};
  batch.labels = reinterpret_cast<const std::int32_t*>(there);
  batch.pictures = reinterpret_cast<const std::uint8_t*>(there + labels);
  return batch;
}

Batch placed_batch(CudaState& state, const CudaPictures& placed, std::span<const std::uint32_t> indices) {
  std::byte* const place = state.staging->take(indices.size_bytes());
  std::memcpy(place, indices.data(), indices.size_bytes());
  Batch batch{};
  batch.indices = reinterpret_cast<const std::uint32_t*>(state.staging->send(indices.size_bytes()));
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

void load_pictures_cuda(CudaState& state, const PictureSource& source, std::span<const std::uint32_t> indices,
                        const Tensor& input, const Tensor* targets) {
  check_batch(source, indices, input, targets);
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
  Batch batch = placed != nullptr ? placed_batch(state, *placed, indices)
                                  : stream_batch(state, source, indices, targets != nullptr);
  batch.count = static_cast<std::int64_t>(indices.size());
  batch.channels = source.shape[0];
  batch.plane = source.shape.elements() / source.shape[0];
  const bool channels_last = input.desc.layout == nhwc;
  with_element(input.desc.type, [&]<class Element>(Element /*type*/) {
    launch(state.context, "loading pictures", grid_for(state.context, input.desc.shape.elements()),
           gather<Element>, batch, scales, channels_last, static_cast<Element*>(input.data));
  });
  if (targets == nullptr) return;
  launch(state.context, "loading labels", grid_for(state.context, targets->desc.shape.elements()), indicate,
         batch, targets->desc.shape[1], static_cast<float*>(targets->data));
}

}  // namespace descent
