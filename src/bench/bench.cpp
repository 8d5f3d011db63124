#include "bench/bench.h"

#include "descent/error.h"
#include "descent/random.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <utility>

namespace descent {

namespace {

using Clock = std::chrono::steady_clock;

// Tells apart the streams of random numbers.
enum Item : std::uint32_t { pixels = 1, labels = 2, inputs = 3 };

constexpr double still = 1e-6;  // a learning rate that changes nothing to speak of

// Times parts of a run that follow each other without a gap.
class PartClock {
 public:
  explicit PartClock(Device& device) : device_(device) {}

  void start() {
    device_.wait();
    last_ = Clock::now();
  }
  double part() {
    device_.wait();
    const Clock::time_point now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  Device& device_;
  Clock::time_point last_;
};

// Calls `step`, which returns the seconds of its parts, until there are enough runs; two more come first.
template <class Step>
void repeat(int runs, BenchResult& result, std::initializer_list<std::string_view> parts, const Step& step) {
  constexpr double budget = 1;
  constexpr int fewest = 5;
  constexpr int warm_up = 2;
  for (const std::string_view part : parts) result.parts.push_back({part, {}});
  for (int run = 0; run < warm_up; ++run) step();
  const auto begin = Clock::now();
  const auto enough = [&](int run) {
    if (runs > 0) return run >= runs;
    return run >= fewest && std::chrono::duration<double>(Clock::now() - begin).count() >= budget;
  };
  for (int run = 0; !enough(run); ++run) {
    const auto seconds = step();
    for (std::size_t part = 0; part < seconds.size(); ++part) {
      result.parts[part].times.seconds.push_back(seconds[part]);
    }
    result.step.seconds.push_back(std::accumulate(seconds.begin(), seconds.end(), 0.0));
  }
}

void measure_training(Plan& plan, ParameterStore& store, const Network& network, const PictureSet& pictures,
                      const BenchRequest& request, BenchResult& result) {
  Device& device = store.device();
  OptimizerState state(device, store.layout(), slots(request.optimizer));
  const std::vector<UpdateRange> ranges = update_ranges(store.layout(), {});
  PictureSource source = pictures.source(network.normalisation);
  const std::unique_ptr<PlacedPictures> placed = device.place(source);
  source.placed = placed.get();
  const std::vector<std::uint32_t> order = epoch_order(pictures.size(), true, request.seed, 0);
  const auto batch = static_cast<std::size_t>(request.batch);
  const UpdateRequest update{request.optimizer, ranges, still, 0, Decay::decoupled, 0};
  std::size_t next = 0;
  const auto batch_of = [&] {
    if (next + batch > order.size()) next = 0;
    return std::span(order).subspan(std::exchange(next, next + batch), batch);
  };
  PartClock clock(device);
  if (plan.has_step()) {
    repeat(request.runs, result, {"load", "step"}, [&] {
      const StepContext context{request.seed, 0, next};
      std::array<double, 2> seconds{};
      clock.start();
      plan.load(source, {batch_of()});
      seconds[0] = clock.part();
      plan.step(context, state, update);
      result.loss = plan.result().loss_sum / static_cast<double>(batch);
      seconds[1] = clock.part();
      return seconds;
    });
    return;
  }
  repeat(request.runs, result, {"load", "forward", "loss", "backward", "update"}, [&] {
    const StepContext context{request.seed, 0, next};
    std::array<double, 5> seconds{};
    clock.start();
    plan.load(source, {batch_of()});
    seconds[0] = clock.part();
    plan.forward(context);
    seconds[1] = clock.part();
    result.loss = plan.result().loss_sum / static_cast<double>(batch);
    seconds[2] = clock.part();
    plan.backward(context);
    seconds[3] = clock.part();
    device.update(store, state, update);
    seconds[4] = clock.part();
    return seconds;
  });
}

void measure_inference(Plan& plan, const Network& network, Device& device, const BenchRequest& request,
                       BenchResult& result) {
  std::vector<float> input(static_cast<std::size_t>(network.input.elements() * request.batch));
  for (std::size_t i = 0; i < input.size(); ++i) {
    input[i] = 2 * uniform(random_bits({request.seed, Purpose::demo, 0, inputs}, i)[0]) - 1;
  }
  std::vector<float> answers(static_cast<std::size_t>(network.classes() * request.batch));
  PartClock clock(device);
  repeat(request.runs, result, {"write", "forward", "read"}, [&] {
    std::array<double, 3> seconds{};
    clock.start();
    plan.write(Plan::Port::input, input);
    seconds[0] = clock.part();
    plan.forward({});
    seconds[1] = clock.part();
    plan.read(Plan::Port::output, answers);
    seconds[2] = clock.part();
    return seconds;
  });
}

}  // namespace

double Times::least() const {
  return seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
}

double Times::median() const {
  if (seconds.empty()) return 0;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  return (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;
}

double Times::most() const {
  return seconds.empty() ? 0 : *std::max_element(seconds.begin(), seconds.end());
}

PictureSet synthetic_pictures(const Network& network, std::int64_t batch, std::uint64_t seed) {
  constexpr std::int64_t batches = 8;
  constexpr std::int64_t most_bytes = std::int64_t{8} << 20;  // part of the memory that is compared with others
  PictureSet set;
  set.shape = network.input;
  const std::int64_t each = network.input.elements();
  const std::int64_t count = std::max(batch, std::min(batches * batch, most_bytes / each));
  set.pictures.resize(static_cast<std::size_t>(count * each));
  for (std::size_t i = 0; i < set.pictures.size(); i += 16) {
    const RandomBits bits = random_bits({seed, Purpose::demo, 0, pixels}, i);
    for (std::size_t byte = 0; byte < std::min<std::size_t>(16, set.pictures.size() - i); ++byte) {
      set.pictures[i + byte] = static_cast<std::uint8_t>(bits.at(byte / 4) >> (byte % 4 * 8));
    }
  }
  const auto classes = static_cast<std::uint64_t>(network.classes());
  for (std::int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<std::int32_t>(
        uniform_below({seed, Purpose::demo, 0, labels}, static_cast<std::uint64_t>(i), classes)));
  }
  return set;
}

BenchResult bench(Device& device, const Network& network, const PictureSet& pictures,
                  const BenchRequest& request) {
  const bool training = request.mode == Mode::train;
  if (training) {
    check_training_batch(network, request.batch);
    if (static_cast<std::int64_t>(pictures.size()) < request.batch) {
      throw Error("a batch of " + std::to_string(request.batch) + " is more than the " +
                  std::to_string(pictures.size()) + " pictures");
    }
  }
  const ParameterLayout layout = parameter_layout(network);
  ParameterStore store(device, layout, training);
  store.upload(initialise(network, layout, Initialisation::kaiming, request.seed));
  PlanRequest wanted;
  wanted.mode = request.mode;
  wanted.batch = request.batch;
  wanted.loss = training;
  wanted.precision = request.precision;
  Buffer workspace;  // outlives the plan
  const std::unique_ptr<Plan> plan = device.prepare(network, wanted, store);
  workspace = device.allocate(plan->workspace_bytes());
  plan->bind(workspace);

  BenchResult result;
  result.workspace_bytes = plan->workspace_bytes();
  result.parameters = parameter_count(layout);
  if (training) {
    measure_training(*plan, store, network, pictures, request, result);
  } else {
    measure_inference(*plan, network, device, request, result);
  }
  constexpr int fewest = 3;
  constexpr int most = 20;
  result.operations = plan->explain(std::clamp(static_cast<int>(result.step.seconds.size()), fewest, most));
  return result;
}

UpdateBench bench_update(Device& device, std::int64_t parameters, const Optimizer& optimizer, int runs) {
  ParameterLayout layout;
  layout.trained.push_back({"weight", 0, Shape{parameters}, 0});
  layout.trained_elements = static_cast<std::size_t>(parameters);
  ParameterStore store(device, layout, true);
  std::vector<float> host(layout.trained_elements);
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(i % 1000) * 1e-3F - 0.5F;
  device.upload(store.values().data(), device.parameter_type(), host);
  device.upload(store.gradients().data(), device.parameter_type(), host);
  OptimizerState state(device, store.layout(), slots(optimizer));
  const std::vector<UpdateRange> ranges = update_ranges(store.layout(), {});

  BenchResult result;
  PartClock clock(device);
  repeat(runs, result, {"update"}, [&] {
    clock.start();
    device.update(store, state, {optimizer, ranges, still, 0, Decay::decoupled, 0});
    return std::array{clock.part()};
  });
  const auto element = static_cast<double>(size_of(device.parameter_type()));
  // Values and state are read and written, gradients are read.
  const double passes = 3 + 2 * static_cast<double>(slots(optimizer));
  return {std::move(result.step), passes * element * static_cast<double>(parameters)};
}

double bandwidth(const Peaks& peaks, double bytes) {
  const auto found = std::ranges::find_if(
      peaks.copies, [bytes](const Peaks::Copy& copy) { return bytes <= static_cast<double>(copy.bytes); });
  if (found != peaks.copies.end()) return found->bytes_per_second;
  return peaks.copies.empty() ? 0 : peaks.copies.back().bytes_per_second;
}

double share_of_limits(double flops, double bytes, double seconds, const Limits& limits) {
  if (!(seconds > 0)) return 0;
  const double arithmetic = limits.flops > 0 ? flops / limits.flops : 0;
  const double memory = limits.bytes_per_second > 0 ? bytes / limits.bytes_per_second : 0;
  return std::max(arithmetic, memory) / seconds;
}

}  // namespace descent
