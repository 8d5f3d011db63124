// The files of a run folder as plain data. Files may be missing, of an older version, or cut at any line:
// what is there is read, what is not is empty. Numbers that are missing are NaN.
#pragma once

#include "descent/statistics.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

namespace descent::report {

constexpr double missing = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t histogram_bins = Summary::bins;

struct Curve {
  std::vector<double> x;
  std::vector<double> y;
};

struct StepCurves {  // steps.csv
  std::vector<double> step;
  std::vector<double> rate;
  std::vector<double> loss;
  std::vector<double> accuracy;  // all missing where the file has no such column
  std::vector<double> momentum;
};

struct EpochRow {  // metrics.csv
  double epoch = missing;
  double step = missing;  // the epoch's last
  double rate = missing;
  double train_loss = missing;
  double train_accuracy = missing;
  double valid_loss = missing;
  double valid_accuracy = missing;
  double train_seconds = missing;
  double valid_seconds = missing;
};

struct LayerCurves {  // layers.csv
  std::string name;
  std::vector<double> step;
  std::vector<double> output_mean;
  std::vector<double> output_std;
  std::vector<double> gradient_mean;
  std::vector<double> gradient_std;
};

struct LayerHistograms {  // histograms.csv
  std::string name;
  std::vector<double> step;
  std::vector<double> counts;  // step after step, histogram_bins each
};

struct ParameterCurves {  // parameters.csv
  std::string name;
  std::vector<double> step;
  std::vector<double> mean;
  std::vector<double> std;
  std::vector<double> update_ratio;
};

struct OperationTime {  // operations.csv
  std::string layer;
  std::string operation;
  std::string implementation;
  std::string layout;
  double seconds = missing;
  double flops = missing;
  double bytes = missing;
};

struct NetworkLayer {  // network.csv
  std::string layer;
  std::string operation;
  std::string input;
  std::string output;
  double parameters = missing;
  double macs = missing;
};

struct Confusion {  // confusion.csv
  std::vector<std::string> classes;
  std::vector<std::vector<double>> counts;  // of true class, of what was said
};

struct WorstPicture {  // worst.csv
  double index = missing;
  std::string label;
  std::string said;
  double probability = missing;
  double loss = missing;
  std::string file;  // empty where pictures have none of their own
};

struct BatchPicture {  // batch.csv
  double index = missing;
  std::string label;
};

struct Finder {  // lr_find.csv, lr_find.json
  Curve loss;    // over the learning rate
  double suggestion = missing;
  double steepest = missing;
  double lowest = missing;
  std::string reason;
};

struct RunInfo {      // run.json
  std::string state;  // "running", "done", "interrupted", "failed"; empty: not known
  std::string version, command, device, host, os, processor, compiler, started, finished, data, model,
      optimizer;
  double pid = missing, threads = missing, epochs = missing, steps_per_epoch = missing, batch_size = missing,
         train_pictures = missing, valid_pictures = missing, parameters = missing;
};

struct RunFiles {
  std::string name;  // of the folder
  RunInfo info;
  std::string config;  // the text of config.toml
  StepCurves steps;
  std::vector<EpochRow> epochs;
  std::vector<LayerCurves> layers;
  std::vector<LayerHistograms> histograms;
  std::vector<ParameterCurves> parameters;
  Curve gradient_norm;
  std::vector<OperationTime> operations;
  std::vector<NetworkLayer> network;
  Confusion confusion;
  std::vector<WorstPicture> worst;
  std::string worst_png;
  std::vector<BatchPicture> batch;
  std::string batch_png;
  Finder finder;
};

// Its run.json alone; empty where there is none.
[[nodiscard]] RunInfo read_run_info(const std::filesystem::path& folder);

// Throws Error if `folder` is no folder or holds none of these files.
[[nodiscard]] RunFiles read_run(const std::filesystem::path& folder);

// False: the folder holds a search for a learning rate and nothing of a run.
[[nodiscard]] bool has_run(const RunFiles& files);
// A folder that a run was to fill, which ended before it had written what it is.
[[nodiscard]] bool ended_before_it_began(const std::filesystem::path& folder);

// What became of the run, for people: "running", "done", "killed: …". A run that says that it is running on
// this machine, while there is no such process, was killed.
[[nodiscard]] std::string state_text(const RunInfo& info);

// Parts of read_run: of a file's text.
[[nodiscard]] StepCurves read_steps(const std::string& text);
[[nodiscard]] std::vector<EpochRow> read_epochs(const std::string& text);
[[nodiscard]] std::vector<LayerCurves> read_layers(const std::string& text);
[[nodiscard]] std::vector<LayerHistograms> read_histograms(const std::string& text);
[[nodiscard]] std::vector<ParameterCurves> read_parameters(const std::string& text);
[[nodiscard]] Curve read_curve(const std::string& text, const char* x, const char* y);
[[nodiscard]] std::vector<OperationTime> read_operations(const std::string& text);
[[nodiscard]] std::vector<NetworkLayer> read_network(const std::string& text);
[[nodiscard]] Confusion read_confusion(const std::string& text);
[[nodiscard]] std::vector<WorstPicture> read_worst(const std::string& text);
[[nodiscard]] std::vector<BatchPicture> read_batch(const std::string& text);
[[nodiscard]] Finder read_finder(const std::string& csv, const std::string& json);
[[nodiscard]] RunInfo read_info(const std::string& json);

}  // namespace descent::report
