// The seed network beside PyTorch in double precision: gradients, losses and where every optimizer leads.
#include "compare.h"
#include "descent/device.h"
#include "descent/optimizer.h"
#include "golden_files.h"
#include "reference/device.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

using namespace descent;
using namespace descent::test;

namespace {

struct Bounds {
  double loss = 1e-5;        // relative
  double parameters = 2e-4;  // of a tensor's norm
};

// Adam2 divides by an average without a root and an eps of 1e-8: it magnifies rounding.
Bounds bounds_of(const GoldenRun& run) {
  return run.optimizer == "adam2" ? Bounds{2e-4, 2e-3} : Bounds{};
}

// A bias right before a batch normalisation changes nothing: its true gradient is 0.
bool is_redundant_bias(const Golden& golden, const ParameterEntry& entry) {
  return entry.name.ends_with("bias") && std::holds_alternative<Conv>(golden.network.layers[entry.layer].op) &&
         entry.layer + 1 < golden.network.layers.size() &&
         std::holds_alternative<BatchNorm>(golden.network.layers[entry.layer + 1].op);
}

template <class Values>
std::span<const float> tensor_in(const Values& flat, const ParameterEntry& entry) {
  return std::span<const float>(flat).subspan(entry.offset, entry.elements());
}

// The steps of the golden runs on one device: two plans, for whole and partial batches, over one store.
class Trainer {
 public:
  Trainer(Device& device, const Golden& golden)
      : device_(device), golden_(golden), store_(device, golden.layout, true) {
    store_.upload(golden.start);
    const auto count = static_cast<std::int64_t>(golden.pictures.size());
    std::size_t workspace = 0;
    for (const std::int64_t size : {golden.batch, count % golden.batch}) {
      const PlanRequest request{.mode = Mode::train, .batch = size, .loss = true, .timed_batch = golden.batch};
      plans_[size] = device.prepare(golden.network, request, store_);
      workspace = std::max(workspace, plans_[size]->workspace_bytes());
    }
    workspace_ = device.allocate(workspace);
    for (const auto& plan : plans_) plan.second->bind(workspace_);
  }

  // Forward and backward on the batch of that step; returns the mean loss.
  double differentiate(std::size_t step) {
    const auto batch = static_cast<std::size_t>(golden_.batch);
    const std::size_t count = golden_.pictures.size();
    const std::size_t begin = step % ((count + batch - 1) / batch) * batch;
    std::vector<std::uint32_t> indices(std::min(batch, count - begin));
    std::iota(indices.begin(), indices.end(), static_cast<std::uint32_t>(begin));
    Plan& plan = *plans_.at(static_cast<std::int64_t>(indices.size()));
    plan.load(golden_.pictures.source(golden_.network.normalisation), {indices});
    plan.forward({});
    plan.backward({});
    return plan.result().loss_sum / static_cast<double>(indices.size());
  }

  // Losses of a whole run.
  std::vector<double> train(const GoldenRun& run) {
    const Optimizer optimizer = make_optimizer(run.optimizer);
    const std::vector<UpdateRange> ranges = update_ranges(golden_.layout, {});
    OptimizerState state(device_, golden_.layout, slots(optimizer));
    std::vector<double> losses;
    for (std::size_t step = 0; step < run.losses.size(); ++step) {
      losses.push_back(differentiate(step));
      const Decay decay = run.decay == "l2" ? Decay::l2 : Decay::decoupled;
      device_.update(store_, state, {optimizer, ranges, run.learning_rate, run.weight_decay, decay});
    }
    return losses;
  }

  ParameterStore& store() { return store_; }

 private:
  Device& device_;
  const Golden& golden_;
  ParameterStore store_;
  Buffer workspace_;
  std::map<std::int64_t, std::unique_ptr<Plan>> plans_;
};

double worst_loss(const std::vector<double>& losses, const GoldenRun& run) {
  double worst = 0;
  for (std::size_t step = 0; step < losses.size(); ++step) {
    worst = std::max(worst, std::abs(losses[step] - run.losses[step]) / run.losses[step]);
  }
  return worst;
}

struct Worst {
  double share = 0;
  std::string tensor;
  void see(double value, const std::string& name) {
    if (!(value <= share)) *this = {value, name};
  }
};

// Largest distance of a tensor from the run's end, as a share of its norm.
Worst worst_parameter(const HostParameters& now, const GoldenRun& run, const Golden& golden) {
  Worst worst;
  for (const ParameterEntry& entry : golden.layout.trained) {
    if (is_redundant_bias(golden, entry)) continue;
    const auto expected = tensor_in(run.end.trained, entry);
    worst.see(distance(tensor_in(now.trained, entry), expected) / norm(expected), entry.name);
  }
  for (const ParameterEntry& entry : golden.layout.statistics) {
    if (entry.name.ends_with("running_mean")) continue;  // follows the redundant bias
    const auto expected = tensor_in(run.end.statistics, entry);
    worst.see(distance(tensor_in(now.statistics, entry), expected) / norm(expected), entry.name);
  }
  return worst;
}

void check_gradients(Device& device) {
  const Golden golden = read_golden();
  Trainer trainer(device, golden);
  const double loss = trainer.differentiate(0);
  BOOST_TEST(std::abs(loss - golden.runs.front().losses.front()) <= 1e-5 * loss);

  const std::vector<float> gradients = trainer.store().download_gradients();
  Worst worst;
  Worst redundant;
  double weight_norm = 0;  // of the layer's weight: it comes before the bias
  for (const ParameterEntry& entry : golden.layout.trained) {
    const auto expected = tensor_in(golden.gradients.values, entry);
    const double error = distance(tensor_in(gradients, entry), expected);
    BOOST_TEST_CONTEXT(entry.name) {
      if (is_redundant_bias(golden, entry)) {
        redundant.see(error / weight_norm, entry.name);
        BOOST_TEST(error <= 1e-5 * weight_norm);
      } else {
        const double allowed = std::max(1e-5 * norm(expected), 3 * golden.gradients.float_error.at(entry.name));
        worst.see(error / norm(expected), entry.name);
        BOOST_TEST(error <= allowed);
      }
    }
    weight_norm = norm(expected);
  }
  BOOST_TEST_MESSAGE("worst gradient: " << worst.share << " of its norm (" << worst.tensor
                                        << "); worst redundant bias: " << redundant.share
                                        << " of its weight's gradient (" << redundant.tensor << ")");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(golden)

BOOST_AUTO_TEST_CASE(every_gradient_at_step_0_is_that_of_pytorch) {
  for (const auto& [name, device] : devices_with_all_choices()) {
    BOOST_TEST_CONTEXT(name) {
      check_gradients(*device);
    }
  }
}

BOOST_AUTO_TEST_CASE(so_it_is_with_layouts_chosen_by_timing) {
  DeviceOptions options;
  options.use_plan_cache = false;
  check_gradients(*make_device("cpu", options));
}

BOOST_AUTO_TEST_CASE(every_optimizer_follows_pytorch_for_20_steps) {
  const Golden golden = read_golden();
  const std::vector<TestedDevice> all = devices();
  for (const auto& [name, device] : all) {
    for (const GoldenRun& run : golden.runs) {
      BOOST_TEST_CONTEXT(name << ", " << run.name) {
        Trainer trainer(*device, golden);
        const double loss = worst_loss(trainer.train(run), run);
        const HostParameters now = trainer.store().download();
        const Worst parameter = worst_parameter(now, run, golden);
        const Bounds bounds = bounds_of(run);
        BOOST_TEST(loss <= bounds.loss);
        BOOST_TEST(parameter.share <= bounds.parameters,
                   parameter.tensor << " is " << parameter.share << " off");
        BOOST_TEST_MESSAGE(name << ", " << run.name << ": worst loss " << loss << ", worst parameter "
                                << parameter.share << " (" << parameter.tensor << ")");
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_runs_cover_nine_optimizers_without_and_with_decay) {
  const Golden golden = read_golden();
  for (const char* name :
       {"sgd", "momentum", "heavy-ball", "nesterov", "rmsprop", "adam", "adam-inside", "adam2", "adamw"}) {
    for (const char* decay : {"none", "decoupled"}) {
      BOOST_TEST(std::ranges::count_if(golden.runs,
                                       [&](const GoldenRun& run) {
                                         return run.optimizer == name && run.decay == decay &&
                                                run.losses.size() == 20;
                                       }) == 1,
                 name << ", decay " << decay);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_reference_follows_pytorch_too) {
  const Golden golden = read_golden();
  reference::ReferenceDevice device;
  for (const GoldenRun& run : golden.runs) {
    if (run.name != "nesterov-l2" && run.name != "adam-decoupled") continue;
    Trainer trainer(device, golden);
    const double loss = worst_loss(trainer.train(run), run);
    const Worst parameter = worst_parameter(trainer.store().download(), run, golden);
    BOOST_TEST_CONTEXT(run.name) {
      BOOST_TEST(loss <= 1e-7);
      BOOST_TEST(parameter.share <= 1e-4, parameter.tensor << " is " << parameter.share << " off");
    }
    BOOST_TEST_MESSAGE("reference, " << run.name << ": worst loss " << loss << ", worst parameter "
                                     << parameter.share << " (" << parameter.tensor << ")");
  }
}

BOOST_AUTO_TEST_SUITE_END()
