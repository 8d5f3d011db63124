// A fit that takes milliseconds: 1×4×4 pictures of two classes, a linear network, the CPU.
#pragma once

#include "descent/checkpoint.h"
#include "descent/random.h"
#include "descent/train.h"
#include "network_builder.h"

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace descent::test {

// The left or the right half is bright, with some noise.
inline PictureSet half_pictures(std::size_t count, std::uint64_t seed) {
  PictureSet set;
  set.shape = {1, 4, 4};
  for (std::size_t picture = 0; picture < count; ++picture) {
    const auto label = static_cast<std::int32_t>(picture % 2);
    set.labels.push_back(label);
    for (std::size_t pixel = 0; pixel < 16; ++pixel) {
      const bool bright = (pixel % 4 >= 2) == (label == 1);
      const std::uint64_t noise = uniform_below({seed, Purpose::demo, 0, 0}, picture * 16 + pixel, 60);
      set.pictures.push_back(static_cast<std::uint8_t>((bright ? 150 : 30) + noise));
    }
  }
  return set;
}

inline DataSet half_data(std::size_t train, std::size_t valid) {
  return {"halves", {"left", "right"}, half_pictures(train, 1), half_pictures(valid, 2)};
}

inline Network linear_network(std::int64_t classes = 2) {
  NetworkBuilder builder({1, 4, 4});
  builder.add(Flatten{});
  builder.add(Linear{classes, true});
  return builder.build();
}

// All that a step may depend on: statistics of the batch, draws.
inline Network small_network() {
  NetworkBuilder builder({1, 4, 4});
  builder.add(Conv{.out = 8, .padding = {1, 1}});
  builder.add(BatchNorm{});
  builder.add(GeneralRelu{.leak = 0.1, .sub = 0.4});
  builder.add(Dropout{.p = 0.25});
  builder.add(Conv{.out = 4, .kernel = {4, 4}});
  builder.add(Flatten{});
  builder.add(Linear{.out = 2});
  return builder.build();
}

// Leaves a fit once something has come, and keeps where it was.
class Leaver : public Observer {
 public:
  explicit Leaver(std::function<bool(const FitState&)> moment) : moment_(std::move(moment)) {}
  void after_batch(FitState& state) override {
    if (moment_(state)) throw Cancel{Scope::fit};
  }
  void cleanup_fit(FitState& state) override { left = checkpoint_of(state); }

  FitCheckpoint left;

 private:
  std::function<bool(const FitState&)> moment_;
};

struct SmallFit {
  explicit SmallFit(Network of = linear_network())
      : network(std::move(of)), device(make_cpu()), store(*device, parameter_layout(network), true) {
    store.upload(initialise(network, store.layout(), Initialisation::pytorch, 3));
    settings.epochs = 1;
    settings.batch_size = 2;
    settings.optimizer = Sgd{0.1, 0};
  }

  std::vector<EpochMetrics> run(const DataSet& data, std::vector<Observer*> observers) {
    return fit(network, store, data, settings, observers);
  }

  static std::unique_ptr<Device> make_cpu() {
    DeviceOptions options;
    options.threads = 1;
    options.measure = false;
    options.use_plan_cache = false;
    return make_device("cpu", options);
  }

  Network network;
  std::unique_ptr<Device> device;
  ParameterStore store;
  TrainSettings settings;
};

}  // namespace descent::test
