// Work that sees one element at a time, element i of what is read and of what is written: bound by those bytes.
// Idea: a thread takes 16 bytes of each operand at once; what is left behind the last pack goes element by
// element.
#pragma once

#include "cuda/launch.h"
#include "cuda/pack.h"

#include <cstdint>
#include <string_view>

namespace descent {

// Work: template <int width> __device__ void compute(std::int64_t at) const, elements at to at + width − 1.
template <int width, class Work>
__global__ void __launch_bounds__(256) each_pack(std::int64_t count, Work work) {
  const std::int64_t packs = count / width;
#pragma unroll 2
  for (const std::int64_t pack : grid_stride(packs)) work.template compute<width>(pack * width);
  for (const std::int64_t rest : grid_stride(count - packs * width))
    work.template compute<1>(packs * width + rest);
}

// `Element` is the widest of what moves.
template <class Element, class Work>
void launch_each_pack(const CudaContext& context, std::string_view name, std::int64_t count, const Work& work) {
  constexpr int width = widest_pack<Element>;
  launch(context, name, grid_for(context, (count + width - 1) / width), each_pack<width, Work>, count, work);
}

}  // namespace descent
