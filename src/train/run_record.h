// run.json and network.csv of a run folder: what was run, with what, where, and how it ended.
#pragma once

#include "descent/network.h"
#include "descent/train.h"
#include "network/table.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace descent {

// What the loop does not know of a run.
struct RunFacts {
  std::string version;  // of descent
  std::string command;  // as it may be typed again
  std::string device;   // Device::description()
  std::string host;
  std::string os;
  std::string processor;
  std::string compiler;
  int threads = 0;
  std::string data;
  std::string model;
  std::string optimizer;
  std::vector<std::string> classes;
  std::int64_t train_pictures = 0;
  std::int64_t valid_pictures = 0;
};

// Writes both files when the fit begins, and run.json again when it ends. `state` is then "done" if the fit
// went through, "interrupted" if an observer cancelled it, "failed" if it ended by an exception; a process
// that was killed leaves "running" and its `pid`.
class RunRecord : public Observer {
 public:
  RunRecord(std::filesystem::path folder, RunFacts facts, const Network& network);

  void before_fit(FitState& state) override;
  void after_fit(FitState& state) override;
  void cleanup_fit(FitState& state) override;

 private:
  void write(const FitState& state, const std::string& outcome, const std::string& finished) const;

  std::filesystem::path folder_;
  RunFacts facts_;
  std::vector<LayerRow> layers_;
  std::string started_;
  bool went_through_ = false;
};

// layer,operation,input,output,parameters,macs
[[nodiscard]] std::string network_csv(const std::vector<LayerRow>& rows);

}  // namespace descent
