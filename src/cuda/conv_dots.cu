// Few sums of many products, as the last layers have and answers to one picture: a warp computes one channel of
// one cell, its lanes take every 32nd product. Bound: the weights are read once, side by side; with so few sums
// the way to memory and back is what takes the time, and a warp a sum keeps most requests on their way at once.
#include "cuda/conv_ending.h"
#include "cuda/conv_launches.h"
#include "cuda/launch.h"

namespace descent {

namespace {

constexpr int threads = 128;

// Forward alone: there the weights of an output lie side by side, an input channel's taps next to each other.
template <class Element>
__global__ void __launch_bounds__(threads)
    conv_dots(const Gather gather, const ConvEnding<Element> ending, const Element* source,
              const float* weights, Element* destination) {
  __shared__ GatherTap shifts[Gather::most_taps];  // lanes look up different ones, as constants cannot be
  const int taps = gather.kernel();
  for (int i = static_cast<int>(threadIdx.x); i < taps; i += threads) shifts[i] = gather.taps[i];
  __syncthreads();
  const int width = gather.destination_channels();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warps = static_cast<int>(gridDim.x * blockDim.x) / 32;
  const int sums = gather.cells(0) * width;
  const int channels_on = 32 / taps;
  const int taps_on = 32 % taps;
  for (int number = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) / 32; number < sums;
       number += warps) {
    const int cell_number = number / width;
    const int channel = number - cell_number * width;
    const GatherCell cell(gather, 0, cell_number);
    const Element* const picture =
        source +
        std::int64_t{cell.picture} * gather.rows.source * gather.columns.source * gather.source_channels() +
        channel / gather.out * gather.in;
    const float* const by = weights + std::int64_t{channel} * gather.weight_out;
    int in = lane / taps;
    int tap = lane - in * taps;
    float sum = 0;
#pragma unroll 4
    for (int product = lane; product < gather.in * taps; product += 32) {
      const GatherTap shift = shifts[tap];
      const int row = cell.origin_row + shift.row;
      const int column = cell.origin_column + shift.column;
      if (row >= 0 && row < gather.rows.source && column >= 0 && column < gather.columns.source) {
        const int at = (row * gather.columns.source + column) * gather.source_channels() + in;
        sum += to_f32(picture[at]) * by[product];
      }
      in += channels_on;
      tap += taps_on;
      if (tap >= taps) {
        tap -= taps;
        ++in;
      }
    }
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, apart);
    if (lane != 0) continue;
    const typename ConvEnding<Element>::Channel with[1] = {ending.channel(channel)};
    float values[1] = {sum};
    write_channels(ending, with, values, number, 1, destination);
  }
}

}  // namespace

template <class Element>
void launch_conv_dots(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                      const Element* source, const float* weights, Element* destination) {
  const std::int64_t sums = std::int64_t{gather.cells(0)} * gather.destination_channels();
  launch(context, "conv dots", grid_for(context, 32 * sums, threads), conv_dots<Element>, gather, ending,
         source, weights, destination);
}

template void launch_conv_dots(const CudaContext&, const Gather&, const ConvEnding<float>&, const float*,
                               const float*, float*);
template void launch_conv_dots(const CudaContext&, const Gather&, const ConvEnding<Bf16>&, const Bf16*,
                               const float*, Bf16*);

}  // namespace descent
