#include "report/run_files.h"

#include "base/files.h"
#include "descent/error.h"
#include "report/csv_reader.h"

#include <fmt/format.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>

namespace descent::report {

namespace fs = std::filesystem;

namespace {

// Empty if there is no such file.
std::string text_of(const fs::path& file) {
  constexpr std::size_t most = std::size_t{1} << 30U;
  std::error_code error;
  return fs::is_regular_file(file, error) ? read_file(file, most) : std::string();
}

// An object, empty if the text is none.
nlohmann::json object_of(const std::string& text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  return json.is_object() ? json : nlohmann::json::object();
}

std::string text_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

double number_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : missing;
}

std::string host_name() {
  constexpr std::size_t longest = 256;
  std::array<char, longest> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : std::string();
}

std::string folder_name(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

std::vector<OperationTime> read_operations(const std::string& text) {
  CsvReader rows(text);
  const auto field = [&rows](const char* name) { return std::string(rows.text(rows.column(name))); };
  const auto number = [&rows](const char* name) { return rows.number(rows.column(name)); };
  std::vector<OperationTime> operations;
  while (rows.next()) {
    operations.push_back({field("layer"), field("operation"), field("implementation"), field("layout"),
                          number("seconds"), number("flops"), number("bytes")});
  }
  return operations;
}

std::vector<NetworkLayer> read_network(const std::string& text) {
  CsvReader rows(text);
  const auto field = [&rows](const char* name) { return std::string(rows.text(rows.column(name))); };
  const auto number = [&rows](const char* name) { return rows.number(rows.column(name)); };
  std::vector<NetworkLayer> layers;
  while (rows.next()) {
    layers.push_back({field("layer"), field("operation"), field("input"), field("output"), number("parameters"),
                      number("macs")});
  }
  return layers;
}

Confusion read_confusion(const std::string& text) {
  CsvReader rows(text);
  Confusion confusion;
  if (rows.header().size() < 2) return confusion;
  confusion.classes.assign(rows.header().begin() + 1, rows.header().end());
  const std::size_t classes = confusion.classes.size();
  while (rows.next() && confusion.counts.size() < classes) {
    std::vector<double>& counts = confusion.counts.emplace_back();
    for (std::size_t k = 1; k <= classes; ++k) {
      const double count = rows.number(k);
      counts.push_back(std::isfinite(count) ? count : 0);
    }
  }
  return confusion.counts.size() == classes ? confusion : Confusion{};
}

std::vector<WorstPicture> read_worst(const std::string& text) {
  CsvReader rows(text);
  std::vector<WorstPicture> pictures;
  while (rows.next()) {
    pictures.push_back({rows.number(rows.column("index")), std::string(rows.text(rows.column("label"))),
                        std::string(rows.text(rows.column("said"))), rows.number(rows.column("probability")),
                        rows.number(rows.column("loss")), std::string(rows.text(rows.column("file")))});
  }
  return pictures;
}

std::vector<BatchPicture> read_batch(const std::string& text) {
  CsvReader rows(text);
  std::vector<BatchPicture> pictures;
  while (rows.next()) {
    pictures.push_back({rows.number(rows.column("index")), std::string(rows.text(rows.column("label")))});
  }
  return pictures;
}

Finder read_finder(const std::string& csv, const std::string& json) {
  const nlohmann::json object = object_of(json);
  return {read_curve(csv, "lr", "loss"), number_in(object, "suggestion"), number_in(object, "steepest"),
          number_in(object, "lowest"), text_in(object, "reason")};
}

RunInfo read_info(const std::string& json) {
  const nlohmann::json run = object_of(json);
  RunInfo info;
  info.state = text_in(run, "state");
  info.version = text_in(run, "version");
  info.command = text_in(run, "command");
  info.device = text_in(run, "device");
  info.host = text_in(run, "host");
  info.os = text_in(run, "os");
  info.processor = text_in(run, "processor");
  info.compiler = text_in(run, "compiler");
  info.started = text_in(run, "started");
  info.finished = text_in(run, "finished");
  info.data = text_in(run, "data");
  info.model = text_in(run, "model");
  info.optimizer = text_in(run, "optimizer");
  info.pid = number_in(run, "pid");
  info.threads = number_in(run, "threads");
  info.epochs = number_in(run, "epochs");
  info.steps_per_epoch = number_in(run, "steps_per_epoch");
  info.batch_size = number_in(run, "batch_size");
  info.train_pictures = number_in(run, "train_pictures");
  info.valid_pictures = number_in(run, "valid_pictures");
  info.parameters = number_in(run, "parameters");
  return info;
}

RunInfo read_run_info(const fs::path& folder) {
  return read_info(text_of(folder / "run.json"));
}

std::string state_text(const RunInfo& info) {
  if (info.state != "running") return info.state.empty() ? "not known: run.json is missing" : info.state;
  if (std::isnan(info.pid) || info.host != host_name()) return "running, when this was last heard of";
  const bool gone = ::kill(static_cast<pid_t>(info.pid), 0) != 0 && errno == ESRCH;
  return gone ? fmt::format("killed: it did not end by itself, and its process {} is gone", info.pid)
              : "running";
}

bool has_run(const RunFiles& files) {
  return !files.config.empty() || !files.steps.step.empty() || !files.epochs.empty() ||
         !files.info.state.empty();
}

bool ended_before_it_began(const fs::path& folder) {
  std::error_code error;
  for (const char* file : {"config.toml", "run.json", "lr_find.csv"}) {
    if (fs::exists(folder / file, error)) return false;
  }
  const std::string steps = text_of(folder / "steps.csv");
  return !steps.empty() && steps.find('\n') + 1 >= steps.size();  // its header alone
}

RunFiles read_run(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw Error("'" + folder.string() + "' is not a run folder");
  const auto file = [&folder](const char* name) { return text_of(folder / name); };
  RunFiles run;
  run.name = folder_name(folder);
  run.info = read_run_info(folder);
  run.config = file("config.toml");
  run.steps = read_steps(file("steps.csv"));
  run.epochs = read_epochs(file("metrics.csv"));
  run.layers = read_layers(file("layers.csv"));
  run.histograms = read_histograms(file("histograms.csv"));
  run.parameters = read_parameters(file("parameters.csv"));
  run.gradient_norm = read_curve(file("gradients.csv"), "step", "norm");
  run.operations = read_operations(file("operations.csv"));
  run.network = read_network(file("network.csv"));
  run.confusion = read_confusion(file("confusion.csv"));
  run.worst = read_worst(file("worst.csv"));
  run.worst_png = file("worst.png");
  run.batch = read_batch(file("batch.csv"));
  run.batch_png = file("batch.png");
  run.finder = read_finder(file("lr_find.csv"), file("lr_find.json"));
  if (!has_run(run) && run.finder.loss.x.empty()) {
    throw Error("'" + folder.string() + "' holds no run: there is no config.toml, run.json or steps.csv in it");
  }
  return run;
}

}  // namespace descent::report
