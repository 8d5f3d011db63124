// What `descent bench` says: a table for people, JSON for programs.
#pragma once

#include "bench/bench.h"

#include <nlohmann/json_fwd.hpp>

#include <optional>
#include <string>

namespace descent::cli {

// What was measured, and on what.
struct BenchFacts {
  std::string mode;  // "train", "infer", "update"
  std::string model;
  std::string data;
  std::string optimizer;
  std::string kernels;
  std::string precision;
  std::string device;  // with processor, threads and library
  std::string input;   // "1×28×28"
  std::int64_t batch = 0;
  std::int64_t classes = 0;
  int threads = 0;
};

struct Bench {
  BenchFacts facts;
  BenchResult result;       // of update: the pass is the step
  double update_bytes = 0;  // of update
  std::optional<Peaks> peaks;
  std::size_t peak_resident_bytes = 0;  // of the process, peaks not yet measured
};

// Of the limits for its bytes and its type; where the machine has no arithmetic of that type, f32's.
[[nodiscard]] double share_of(const Bench& bench, const OperationReport& one);
// The shortest time that the limits allow for all operations, over the time that they took.
[[nodiscard]] double share_of_operations(const Bench& bench);

// The names of kernels and layers are shortened where rows would be longer than `columns`; 0: nothing is.
[[nodiscard]] std::string bench_text(const Bench& bench, std::size_t columns);
[[nodiscard]] nlohmann::ordered_json bench_json(const Bench& bench);

}  // namespace descent::cli
