// How long one step of training or one answer takes, warm, part by part and operation by operation.
#pragma once

#include "descent/data.h"
#include "descent/device.h"
#include "descent/network.h"
#include "descent/optimizer.h"
#include "descent/parameters.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

struct BenchRequest {
  Mode mode = Mode::train;
  std::int64_t batch = 1024;
  DType precision = DType::f32;
  Optimizer optimizer = Adam{};
  int runs = 0;  // 0: as many as fit into a second, at least five
  std::uint64_t seed = 42;
};

// The same work, done several times.
struct Times {
  std::vector<double> seconds;  // of each run

  [[nodiscard]] double least() const;
  [[nodiscard]] double median() const;
  [[nodiscard]] double most() const;
};

// A stretch of a step: "load", "forward", "loss", "backward", "update"; "write", "forward", "read".
struct BenchPart {
  std::string_view name;
  Times times;
};

struct BenchResult {
  Times step;                    // whole: the sum of its parts and of nothing else
  std::vector<BenchPart> parts;  // in their order
  std::vector<OperationReport> operations;
  std::size_t workspace_bytes = 0;
  std::int64_t parameters = 0;
  double loss = 0;  // of the last step; training
};

// Synthetic pictures with labels, as many as let every batch be gathered from all over memory.
[[nodiscard]] PictureSet synthetic_pictures(const Network& network, std::int64_t batch, std::uint64_t seed);

// Training: gathers a shuffled batch of `pictures`, computes loss and gradients, sums up loss and right
// answers, updates. The rate is so small that the weights hardly move, and no loss runs away. Inference: copies
// a batch of numbers in, computes, copies the answers out.
[[nodiscard]] BenchResult bench(Device& device, const Network& network, const PictureSet& pictures,
                                const BenchRequest& request);

// The optimizer's pass over so many parameters, alone.
struct UpdateBench {
  Times pass;
  double bytes = 0;  // that a pass reads and writes at least
};
[[nodiscard]] UpdateBench bench_update(Device& device, std::int64_t parameters, const Optimizer& optimizer,
                                       int runs);

// What the machine gives an operation at most.
struct Limits {
  double flops = 0;  // per second
  double bytes_per_second = 0;
};
// For an operation that moves `bytes`: those of the smallest copy that is as large; 0 where no copy was timed.
[[nodiscard]] double bandwidth(const Peaks& peaks, double bytes);
// 0…1: the shortest time that the limits allow for an operation, over the time that it took. 0 where it took
// no time or nothing is known of it.
[[nodiscard]] double share_of_limits(double flops, double bytes, double seconds, const Limits& limits);

}  // namespace descent
