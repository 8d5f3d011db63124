// All parameters of a network in one flat buffer, their gradients in a second, statistics without a
// gradient in a third. Optimizers, checkpoints and sums over processes see spans of these.
#pragma once

#include "descent/buffer.h"
#include "descent/network.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

class Device;

// Where one tensor lies in its flat buffer. Plain layout: convolution O×I×H×W, linear out×in.
struct ParameterEntry {
  std::string name;  // as PyTorch's state_dict: "0.0.weight"
  std::size_t layer = 0;
  Shape shape;
  std::size_t offset = 0;  // in elements, a multiple of 16 (64 bytes in f32)
  [[nodiscard]] std::size_t elements() const { return static_cast<std::size_t>(shape.elements()); }
};

// The table that lays out the flat buffers; order is PyTorch's.
struct ParameterLayout {
  std::vector<ParameterEntry> trained;     // weights, biases, scales and shifts
  std::vector<ParameterEntry> statistics;  // running means and variances
  std::vector<ParameterEntry> counters;    // num_batches_tracked; offset is the index
  std::size_t trained_elements = 0;        // of the flat buffer, gaps included
  std::size_t statistic_elements = 0;
};

[[nodiscard]] ParameterLayout parameter_layout(const Network& network);

// Number of trained parameters, gaps not counted.
[[nodiscard]] std::int64_t parameter_count(const ParameterLayout& layout);

// Values of every tensor on the host, in plain order; what files hold and initialisers make.
// Flat, laid out by ParameterLayout; gaps are zero.
struct HostParameters {
  std::vector<float> trained;
  std::vector<float> statistics;
  std::vector<std::int64_t> counters;
};

enum class Initialisation : std::uint8_t {
  pytorch,  // "default": U(±1/√fan_in) for weights and biases
  kaiming,  // convolution weights N(0, 2/((1+leak²)·fan_in)), leak 0.1; the rest as pytorch
};

// fan_in = input channels a group × kernel height × width, or input features. Scales 1, shifts 0,
// running means 0, variances 1. Draws depend on seed and the tensor's position in the layout alone.
[[nodiscard]] HostParameters initialise(const Network& network, const ParameterLayout& layout,
                                        Initialisation initialisation, std::uint64_t seed);

// The flat buffers on one device. Plans of several batch sizes, and of several networks, may share one.
class ParameterStore {
 public:
  // with_gradients: false saves the gradient buffer where nothing trains.
  ParameterStore(Device& device, ParameterLayout layout, bool with_gradients);

  [[nodiscard]] const ParameterLayout& layout() const noexcept { return layout_; }
  [[nodiscard]] Device& device() const noexcept { return *device_; }
  [[nodiscard]] bool has_gradients() const noexcept { return gradients_.data() != nullptr; }

  // Addresses in device memory, elements of device().parameter_type().
  [[nodiscard]] Buffer& values() noexcept { return values_; }
  [[nodiscard]] Buffer& gradients() noexcept { return gradients_; }
  [[nodiscard]] Buffer& statistics() noexcept { return statistics_; }

  void upload(const HostParameters& host);
  [[nodiscard]] HostParameters download() const;
  [[nodiscard]] std::vector<float> download_gradients() const;

  // Batches seen in training, a layer of batch normalisation each.
  [[nodiscard]] std::vector<std::int64_t>& counters() noexcept { return counters_; }

  // Grows with every change of values or statistics: plans compare it to know when what they derived
  // from the parameters (reordered or folded weights) is stale.
  [[nodiscard]] std::uint64_t version() const noexcept { return version_; }
  void mark_changed() noexcept { ++version_; }

 private:
  Device* device_;
  ParameterLayout layout_;
  Buffer values_;
  Buffer gradients_;
  Buffer statistics_;
  std::vector<std::int64_t> counters_;
  std::uint64_t version_ = 1;
};

}  // namespace descent
