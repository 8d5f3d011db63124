// The larger built-in networks beside PyTorch in double precision, from weights that both make from the
// same counted draws (the rules are those of tools/pytorch/fixed_state.py).
#include "descent/device.h"
#include "descent/random.h"
#include "golden_files.h"
#include "tolerances.h"

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

using namespace descent;
using namespace descent::test;

namespace {

enum class Draw : std::uint32_t { trained = 0, statistic = 1, input = 2, digest = 3 };

// Draw i is word i mod 4 of position i / 4.
std::vector<std::uint32_t> words(Draw purpose, std::uint32_t item, std::size_t count) {
  const RandomKey key{7, Purpose::demo, static_cast<std::uint32_t>(purpose), item};
  std::vector<std::uint32_t> result(count);
  for (std::size_t i = 0; i < count; i += 4) {
    const RandomBits bits = random_bits(key, i / 4);
    for (std::size_t k = 0; k < 4 && i + k < count; ++k) result[i + k] = bits[k];
  }
  return result;
}

// A tensor's element from its draw u in [0, 1).
float value_of(const ParameterEntry& entry, std::size_t element, double u) {
  const auto has = [&](std::string_view part) { return entry.name.find(part) != std::string::npos; };
  if (has("running_var")) return static_cast<float>(0.5 + u);
  if (has("running_mean")) return static_cast<float>(u - 0.5);
  if (entry.shape.rank() == 1) {
    double shift = 0;
    if (entry.name.ends_with(".bias") && (has("bn") || has("downsample"))) {
      shift = has("bn1") && element % 2 == 1 ? -1.5 : 1.5;
    }
    return static_cast<float>(0.2 + 0.4 * u + shift);
  }
  const double fan_in = static_cast<double>(entry.shape.elements()) / static_cast<double>(entry.shape[0]);
  return static_cast<float>((2 * u - 1) * std::sqrt(6.0 / fan_in));
}

// Rank of each tensor's name in byte order.
std::map<std::string, std::uint32_t> ranks(const std::vector<ParameterEntry>& entries) {
  std::map<std::string, std::uint32_t> result;
  for (const ParameterEntry& entry : entries) result[entry.name] = 0;
  std::uint32_t next = 0;
  for (auto& rank : result) rank.second = next++;
  return result;
}

void fill(std::vector<float>& flat, const std::vector<ParameterEntry>& entries, Draw purpose) {
  const auto items = ranks(entries);
  for (const ParameterEntry& entry : entries) {
    const auto drawn = words(purpose, items.at(entry.name), entry.elements());
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      flat[entry.offset + i] = value_of(entry, i, uniform(drawn[i]));
    }
  }
}

HostParameters fixed_state(const ParameterLayout& layout) {
  HostParameters state;
  state.trained.resize(layout.trained_elements);
  state.statistics.resize(layout.statistic_elements);
  state.counters.resize(layout.counters.size());
  fill(state.trained, layout.trained, Draw::trained);
  fill(state.statistics, layout.statistics, Draw::statistic);
  return state;
}

// Sums of a tensor's elements with fixed random signs.
using Projections = std::array<double, 8>;

Projections project(std::span<const float> values, std::uint32_t item) {
  const auto signs = words(Draw::digest, item, values.size());
  Projections sums{};
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t k = 0; k < sums.size(); ++k) {
      sums[k] += (signs[i] >> k & 1U) != 0 ? -static_cast<double>(values[i]) : static_cast<double>(values[i]);
    }
  }
  return sums;
}

// ‖a − b‖ of two tensors, estimated: the root mean square of their projections' differences.
double difference(const Projections& a, const Projections& b) {
  double squares = 0;
  for (std::size_t k = 0; k < a.size(); ++k) squares += (a[k] - b[k]) * (a[k] - b[k]);
  return std::sqrt(squares / static_cast<double>(a.size()));
}

// A network on the CPU with its fixed state and input.
class Case {
 public:
  Case(const std::string& name, std::int64_t batch)
      : network_(load_network(name)),
        batch_(batch),
        expected_(read_safetensors(test_data("torchvision/" + name + ".safetensors"))),
        device_(make_device("cpu", options())),
        store_(*device_, parameter_layout(network_), true) {
    store_.upload(fixed_state(store_.layout()));
  }

  // max |difference| of a logit over max |logit|, with running statistics.
  double logits_error(DType precision = DType::f32) {
    const auto plan = prepare(Mode::infer, precision);
    plan->forward({});
    std::vector<float> logits(static_cast<std::size_t>(batch_ * network_.classes()));
    plan->read(Plan::Port::output, logits);
    const std::vector<double> expected = doubles_of(tensor_named(expected_, "logits"));
    BOOST_TEST_REQUIRE(expected.size() == logits.size());
    double error = 0;
    double scale = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      error = std::max(error, std::abs(static_cast<double>(logits[i]) - expected[i]));
      scale = std::max(scale, std::abs(expected[i]));
    }
    return error / scale;
  }

  // Forward and backward with the statistics of the batch; returns the loss's relative error.
  double loss_error() {
    const auto plan = prepare(Mode::train);
    std::vector<float> targets(static_cast<std::size_t>(batch_ * network_.classes()), 0.0F);
    for (std::int64_t n = 0; n < batch_; ++n) {
      const std::int64_t label = (7 * n + 3) % network_.classes();
      targets[static_cast<std::size_t>(n * network_.classes() + label)] = 1;
    }
    plan->write(Plan::Port::targets, targets);
    plan->forward({});
    plan->backward({});
    const double expected = doubles_of(tensor_named(expected_, "loss")).front();
    return std::abs(plan->result().loss_sum / static_cast<double>(batch_) - expected) / expected;
  }

  // After loss_error: each gradient within `allowed` of its norm, or five times the largest error of PyTorch's
  // own f32 gradients, which in a deep ReLU network is set by the few activations that fall on the other side
  // of 0; half of them within 1e-4 of their norm.
  void check_gradients(double allowed) {
    const std::vector<float> gradients = store_.download_gradients();
    const auto items = ranks(store_.layout().trained);
    for (const ParameterEntry& entry : store_.layout().trained) {
      const Digest digest = digest_of(entry);
      if (digest.norm > zero) allowed = std::max(allowed, 5 * digest.float_error / digest.norm);
    }
    std::vector<double> shares;
    for (const ParameterEntry& entry : store_.layout().trained) {
      const Digest digest = digest_of(entry);
      const auto values = std::span<const float>(gradients).subspan(entry.offset, entry.elements());
      const double error = difference(project(values, items.at(entry.name)), digest.sums);
      if (digest.norm <= zero) {  // a shift that a batch normalisation takes away again
        BOOST_TEST(error <= 1e-5, entry.name << " should have no gradient, has " << error);
        continue;
      }
      shares.push_back(error / digest.norm);
      BOOST_TEST(shares.back() <= allowed, entry.name << " is " << shares.back() << " of its norm off");
    }
    std::ranges::sort(shares);
    BOOST_TEST(shares[shares.size() / 2] <= 1e-4);
    BOOST_TEST_MESSAGE(network_.name << ": gradients " << shares[shares.size() / 2] << " (median) to "
                                     << shares.back() << " of their norm off, allowed " << allowed);
  }

  // After loss_error: norm and sum of every running mean and variance.
  void check_statistics() {
    const HostParameters now = store_.download();
    for (const ParameterEntry& entry : store_.layout().statistics) {
      const std::vector<double> expected = doubles_of(tensor_named(expected_, "after/" + entry.name));
      const auto values = std::span(now.statistics).subspan(entry.offset, entry.elements());
      double sum = 0;
      for (const float value : values) sum += static_cast<double>(value);
      const double scale = 1e-4 * expected[0];
      BOOST_TEST(std::abs(norm(values) - expected[0]) <= scale, entry.name);
      BOOST_TEST(std::abs(sum - expected[1]) <= scale * std::sqrt(static_cast<double>(values.size())),
                 entry.name);
    }
  }

 private:
  static constexpr double zero = 1e-9;

  static DeviceOptions options() {
    DeviceOptions chosen;
    chosen.use_plan_cache = false;
    chosen.measure = false;
    return chosen;
  }

  struct Digest {
    double norm;
    double float_error;  // of PyTorch's own f32 gradient
    Projections sums;
  };
  Digest digest_of(const ParameterEntry& entry) const {
    const std::vector<double> values = doubles_of(tensor_named(expected_, "gradient/" + entry.name));
    Digest digest{values.at(0), values.at(1), {}};
    std::copy_n(values.begin() + 2, digest.sums.size(), digest.sums.begin());
    return digest;
  }

  std::unique_ptr<Plan> prepare(Mode mode, DType precision = DType::f32) {
    PlanRequest request{.mode = mode, .batch = batch_, .precision = precision};
    request.loss = mode == Mode::train;
    auto plan = device_->prepare(network_, request, store_);
    workspace_ = device_->allocate(plan->workspace_bytes());
    plan->bind(workspace_);
    const auto drawn = words(Draw::input, 0, static_cast<std::size_t>(batch_ * network_.input.elements()));
    std::vector<float> input(drawn.size());
    std::ranges::transform(drawn, input.begin(),
                           [](std::uint32_t word) { return static_cast<float>(4.0 * uniform(word) - 2); });
    plan->write(Plan::Port::input, input);
    return plan;
  }

  Network network_;
  std::int64_t batch_;
  SafetensorsFile expected_;
  std::unique_ptr<Device> device_;
  ParameterStore store_;
  Buffer workspace_;
};

void check(const std::string& name, std::int64_t batch, double gradient) {
  Case subject(name, batch);
  const double logits = subject.logits_error();
  BOOST_TEST(logits <= 1e-4);
  const double loss = subject.loss_error();
  BOOST_TEST(loss <= 1e-5);
  BOOST_TEST_MESSAGE(name << ": logits " << logits << " of the largest off, loss " << loss);
  subject.check_gradients(gradient);
  subject.check_statistics();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(torchvision)

BOOST_AUTO_TEST_CASE(convnet_gives_pytorchs_logits_and_gradients) {
  check("convnet", 8, 1e-4);
}
BOOST_AUTO_TEST_CASE(convnet_deep_gives_pytorchs_logits_and_gradients) {
  check("convnet-deep", 8, 1e-4);
}
BOOST_AUTO_TEST_CASE(resnet_gives_pytorchs_logits_and_gradients) {
  check("resnet", 16, 1e-4);
}
BOOST_AUTO_TEST_CASE(resnet18_gives_torchvisions_logits_and_gradients) {
  check("resnet18", 2, 1e-3);
}
BOOST_AUTO_TEST_CASE(resnet18_in_bf16_gives_torchvisions_logits) {
  const double error = Case("resnet18", 2).logits_error(DType::bf16);
  BOOST_TEST(error <= tolerance(DType::bf16).whole_network);
  BOOST_TEST(error > 1e-4);  // it was not f32 after all
}
BOOST_AUTO_TEST_CASE(resnet50_gives_torchvisions_logits_and_gradients) {
  check("resnet50", 2, 1e-3);
}

BOOST_AUTO_TEST_SUITE_END()
