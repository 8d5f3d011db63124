// Convolution of any shape as products of matrices: for shapes that the library only has its slow reference
// code for. The positions of the output (picture, row, column) are cut into tiles; a tile's columns, one row
// of numbers for each weight of an output channel, are gathered into cache and multiplied by the weights:
//   forward           y[o, p]  = Σ_k w[o, k] · x̃[k, p]          k = (input channel, kernel row, kernel column)
//   input gradient    dx[i, p] = Σ_k w[k, i] · dỹ[k, p]         k = (output channel, kernel row, kernel column)
//   weight gradient   dw[o, k] = Σ_p dy[o, p] · x̃[k, p]
// Tiles write different elements in the first two; the third sums over a fixed number of parts, then over
// the parts in order. Bound by arithmetic; the input gradient of a strided convolution also multiplies the
// zeros between the outputs. Measured with two threads of a Zen 4, whose peak is 236 GFLOP/s, on 64 to 64
// channels of 3×3 taps in two groups, with normalisation and activation (`descent bench --kernels own
// --batch 32 --model tools/networks/grouped.toml`): forward 0.66 to 0.72 of it, both gradients 0.29 to 0.34.
#include "cpu/conv_columns.h"
#include "cpu/loop_kernel.h"
#include "cpu/matrix_tiles.h"
#include "cpu/parallel.h"

#include <algorithm>

namespace descent {
namespace {

constexpr std::int64_t most_parts = 16;
constexpr std::int64_t parts_limit = 16 << 20;  // numbers in all partial weight gradients

constexpr std::int64_t columns_in_cache = std::int64_t{96} * 1024;  // numbers, of a core's second-level cache

std::int64_t round_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

// One product over tiles of positions, for one group of channels.
struct Product {
  std::int64_t rows;   // channels computed
  std::int64_t depth;  // numbers summed
  std::int64_t positions;
  std::int64_t tile;  // positions at once, a multiple of tile_width; the same for every number of threads

  static Product of(std::int64_t rows, std::int64_t depth, std::int64_t positions) {
    const std::int64_t fits = columns_in_cache / depth / tile_width * tile_width;
    const std::int64_t tile = std::clamp(fits, tile_width, 16 * tile_width);
    return {rows, depth, positions, std::min(tile, round_up(positions, tile_width))};
  }
  [[nodiscard]] std::int64_t tiles() const { return (positions - 1) / tile + 1; }
  [[nodiscard]] Positions at(std::int64_t i) const { return {i * tile, std::min(tile, positions - i * tile)}; }
  [[nodiscard]] std::int64_t numbers() const { return (depth + rows) * tile; }  // of a thread's two matrices
};

class ConvKernel : public LoopKernel {
 public:
  ConvKernel(const KernelRequest& request, const CpuContext& context)
      : op_(std::get<Conv>(request.unit.first().op)),
        geometry_(op_, request.inputs[0].shape, request.output.shape),
        in_(geometry_.in_channels / op_.groups),
        out_(geometry_.out_channels / op_.groups),
        taps_(op_.kernel.height * op_.kernel.width),
        forward_(Product::of(out_, in_ * taps_, geometry_.pictures * geometry_.out_cells())),
        to_input_(Product::of(in_, out_ * taps_, geometry_.pictures * geometry_.in_cells())),
        threads_(context.threads) {
    needs_.inputs = {Format{}};
    const double flops = 2.0 * static_cast<double>(forward_.positions) * static_cast<double>(weights());
    const auto values = static_cast<double>(request.inputs[0].bytes() + request.output.bytes());
    const double bytes = values + 4 * static_cast<double>(weights());
    forward_report_ = report(request, "forward", Layout::plain, flops, bytes);
    std::int64_t numbers = threads_ * forward_.numbers();
    if (trains(request)) {
      needs_.backward_reads_inputs = true;
      const std::int64_t affordable = parts_limit / round_up(weights(), tile_width);
      parts_ = std::clamp(affordable, std::int64_t{1}, std::min(most_parts, forward_.tiles()));
      numbers += parts_ * round_up(weights(), tile_width);
      const int directions = wants_gradient(request) ? 2 : 1;
      if (wants_gradient(request)) {
        numbers = std::max(numbers, threads_ * to_input_.numbers() + round_up(weights(), tile_width));
      }
      backward_report_ = report(request, "backward", Layout::plain, directions * flops, directions * bytes);
    }
    needs_.scratch_bytes = static_cast<std::size_t>(numbers) * sizeof(float);
  }

  void forward(const StepContext& /*context*/) override {
    const float* const weight = tensor(bound_.parameters, 0);
    const float* const bias = op_.bias ? tensor(bound_.parameters, 1) : nullptr;
    const std::int64_t tiles = forward_.tiles();
    const auto body = [&, this](std::int64_t begin, std::int64_t end, std::int64_t stretch) {
      const Space space(forward_, scratch(), stretch);
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t group = item / tiles;
        const Positions at = forward_.at(item % tiles);
        gather_input(geometry_, input(), group * in_, in_, at, space.columns);
        multiply(weight + group * out_ * forward_.depth, out_, forward_.depth, space.columns.data,
                 space.results.data, forward_.tile, round_up(at.length, tile_width));
        scatter_channels(space.results, bias == nullptr ? nullptr : bias + group * out_, output(),
                         geometry_.out_channels, geometry_.out_cells(), group * out_, out_, at);
      }
    };
    parallel_for(threads_, op_.groups * tiles, 1, body);
  }

  void backward(const StepContext& /*context*/) override {
    if (tensor(bound_.parameter_gradients, 0) != nullptr) compute_weight_gradient();
    if (op_.bias && tensor(bound_.parameter_gradients, 1) != nullptr) compute_bias_gradient();
    if (input_gradient() != nullptr) compute_input_gradient();
  }

 private:
  // The two matrices of one stretch of tiles.
  struct Space {
    Matrix columns, results;
    Space(const Product& product, float* scratch, std::int64_t stretch)
        : columns{scratch + stretch * product.numbers(), product.tile},
          results{columns.data + product.depth * product.tile, product.tile} {}
  };

  [[nodiscard]] std::int64_t weights() const { return geometry_.out_channels * in_ * taps_; }
  [[nodiscard]] float* scratch() const { return static_cast<float*>(bound_.scratch); }

  void compute_weight_gradient() const {
    const std::int64_t tiles = forward_.tiles();
    const std::int64_t per_part = round_up(weights(), tile_width);
    float* const partial = scratch() + threads_ * forward_.numbers();
    const auto body = [&, this](std::int64_t begin, std::int64_t end, std::int64_t stretch) {
      const Space space(forward_, scratch(), stretch);
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t part = item / op_.groups;
        const std::int64_t group = item % op_.groups;
        float* const to = partial + part * per_part + group * out_ * forward_.depth;
        std::fill_n(to, out_ * forward_.depth, 0.0F);
        for (std::int64_t tile = tiles * part / parts_; tile < tiles * (part + 1) / parts_; ++tile) {
          const Positions at = forward_.at(tile);
          gather_input(geometry_, input(), group * in_, in_, at, space.columns);
          gather_channels(output_gradient(), geometry_.out_channels, geometry_.out_cells(), group * out_, out_,
                          at, space.results);
          multiply_transposed(space.results.data, out_, space.columns.data, forward_.depth, to, forward_.tile,
                              round_up(at.length, tile_width));
        }
      }
    };
    parallel_for(threads_, parts_ * op_.groups, 1, body);

    float* const gradient = tensor(bound_.parameter_gradients, 0);
    parallel_for(threads_, weights(), 4096, [&, this](std::int64_t begin, std::int64_t end) {
      std::copy(partial + begin, partial + end, gradient + begin);
      for (std::int64_t part = 1; part < parts_; ++part) {
        const float* const more = partial + part * per_part;
        for (std::int64_t i = begin; i < end; ++i) gradient[i] += more[i];
      }
    });
  }

  void compute_bias_gradient() const {
    const std::int64_t cells = geometry_.out_cells();
    const std::int64_t channels = geometry_.out_channels;
    float* const gradient = tensor(bound_.parameter_gradients, 1);
    parallel_for(threads_, channels, 1, [&, this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t channel = begin; channel < end; ++channel) {
        double sum = 0;
        for (std::int64_t n = 0; n < geometry_.pictures; ++n) {
          const float* const from = output_gradient() + (n * channels + channel) * cells;
#pragma omp simd reduction(+ : sum)
          for (std::int64_t i = 0; i < cells; ++i) sum += static_cast<double>(from[i]);
        }
        gradient[channel] = static_cast<float>(sum);
      }
    });
  }

  void compute_input_gradient() const {
    // Weights of a group as in-channel × (out-channel, tap).
    float* const turned = scratch();
    const float* const weight = tensor(bound_.parameters, 0);
    parallel_for(threads_, op_.groups * in_, 1, [&, this](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t first = row / in_ * out_;
        for (std::int64_t o = 0; o < out_; ++o) {
          const float* const from = weight + ((first + o) * in_ + row % in_) * taps_;
          std::copy_n(from, taps_, turned + row * to_input_.depth + o * taps_);
        }
      }
    });

    float* const rest = scratch() + round_up(weights(), tile_width);
    const std::int64_t tiles = to_input_.tiles();
    const auto body = [&, this](std::int64_t begin, std::int64_t end, std::int64_t stretch) {
      const Space space(to_input_, rest, stretch);
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t group = item / tiles;
        const Positions at = to_input_.at(item % tiles);
        gather_output_gradient(geometry_, output_gradient(), group * out_, out_, at, space.columns);
        multiply(turned + group * in_ * to_input_.depth, in_, to_input_.depth, space.columns.data,
                 space.results.data, to_input_.tile, round_up(at.length, tile_width));
        scatter_channels(space.results, nullptr, input_gradient(), geometry_.in_channels, geometry_.in_cells(),
                         group * in_, in_, at);
      }
    };
    parallel_for(threads_, op_.groups * tiles, 1, body);
  }

  Conv op_;
  ConvGeometry geometry_;
  std::int64_t in_;  // channels a group
  std::int64_t out_;
  std::int64_t taps_;  // of one channel's kernel
  Product forward_;
  Product to_input_;
  int threads_;
  std::int64_t parts_ = 1;  // of the weight gradient's sum
};

}  // namespace

std::unique_ptr<Kernel> make_conv_loops(const KernelRequest& request, const CpuContext& context) {
  return std::make_unique<ConvKernel>(request, context);
}

}  // namespace descent
