// descent bench: how fast a network trains and answers here, operation by operation, beside the machine's
// limits.
#include "bench/bench.h"

#include "base/files.h"
#include "base/toml.h"
#include "cli/bench_output.h"
#include "cli/bench_page.h"
#include "cli/cli.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "descent/error.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

namespace descent::cli {

namespace {

constexpr std::array<std::string_view, 3> modes{"train", "infer", "update"};
constexpr std::int64_t most = 1'000'000'000;

struct BenchArguments {
  std::string model = "convnet";
  std::string mode = "train";
  std::string optimizer = "adam";
  std::string data;                                           // empty: synthetic
  std::optional<std::pair<std::int64_t, std::int64_t>> size;  // height and width of the input
  std::int64_t classes = 0;                                   // 0: the network's own
  std::int64_t batch = 1024;
  std::int64_t parameters = 25'000'000;
  int runs = 0;
  bool no_peaks = false;
  std::string json;  // a file, or "-"
  std::string page;  // a file
  DeviceArguments device;
};

constexpr auto footer =
    "Modes: train measures whole steps (load a batch, forward, loss, backward, update; on a GPU load, and the\n"
    "rest as it is recorded and played back), infer measures answers (copy a batch in, forward, copy the\n"
    "answers out), update the optimizer's pass over --parameters.\n"
    "All are warm: plans are made and two runs thrown away before the first that counts. Operations are\n"
    "timed one by one afterwards.";

// "224" or "192x256"
std::pair<std::int64_t, std::int64_t> parse_size(const std::string& text) {
  constexpr std::int64_t longest = 1 << 14;
  const std::size_t cross = text.find('x');
  const std::int64_t height = parse_count("--size", text.substr(0, cross), 1, longest);
  if (cross == std::string::npos) return {height, height};
  return {height, parse_count("--size", text.substr(cross + 1), 1, longest)};
}

// Whole numbers also as people write large ones: 25e6.
std::int64_t parse_parameters(const std::string& text) {
  const double value = parse_number("--parameters", text, true);
  if (value < 1 || value > static_cast<double>(most) ||
      value != static_cast<double>(static_cast<std::int64_t>(value))) {
    throw Error(fmt::format("--parameters must be a whole number from 1 to {}, not {}", most, text));
  }
  return static_cast<std::int64_t>(value);
}

// The network with another input and number of classes: its text, read again.
Network network_of(const BenchArguments& arguments, std::int64_t classes) {
  Network network = load_network(arguments.model, classes);
  if (!arguments.size) return network;
  toml::table table = toml::parse(network.text, arguments.model);
  const auto [height, width] = *arguments.size;
  table.insert_or_assign("input", toml::array{network.input[0], height, width});
  std::ostringstream text;
  text << table;
  return parse_network(text.str(), fmt::format("{} for {}x{}", arguments.model, height, width),
                       network.classes());
}

std::size_t peak_resident_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

Bench bench_of(const BenchArguments& arguments) {
  Bench bench;
  BenchFacts& facts = bench.facts;
  facts.mode = arguments.mode;
  const bool infer = arguments.mode == "infer";
  const Optimizer optimizer = make_optimizer(arguments.optimizer);
  if (!infer) facts.optimizer = name(optimizer);
  const std::unique_ptr<Device> device = arguments.device.make();
  facts.device = device->description();
  facts.threads = omp_get_max_threads();
  facts.precision = arguments.device.precision_name();
  facts.kernels = name(arguments.device.options.kernels);
  if (arguments.mode == "update") {
    UpdateBench update = bench_update(*device, arguments.parameters, optimizer, arguments.runs);
    bench.result.step = std::move(update.pass);
    bench.result.parameters = arguments.parameters;
    bench.update_bytes = update.bytes;
  } else {
    Network network = network_of(arguments, arguments.classes);
    PictureSet pictures;
    if (arguments.data.empty()) {
      facts.data = "synthetic";
      if (!infer) pictures = synthetic_pictures(network, arguments.batch, BenchRequest{}.seed);
    } else {
      DataSet data = load_data_set(arguments.data, network.input);
      network = network_of(arguments, static_cast<std::int64_t>(data.classes.size()));
      facts.data = data.name;
      pictures = std::move(data.train);
    }
    facts.model = network.name;
    facts.input = to_string(network.input);
    facts.classes = network.classes();
    facts.batch = arguments.batch;
    BenchRequest request;
    request.mode = infer ? Mode::infer : Mode::train;
    request.batch = arguments.batch;
    request.precision = arguments.device.precision;
    request.optimizer = optimizer;
    request.runs = arguments.runs;
    bench.result = descent::bench(*device, network, pictures, request);
  }
  bench.peak_resident_bytes = peak_resident_bytes();
  if (!arguments.no_peaks) bench.peaks = device->peaks();
  return bench;
}

void run(const BenchArguments& arguments) {
  if (!arguments.page.empty() && (arguments.no_peaks || arguments.mode == "update")) {
    throw Error(
        "--page shows a step or an answer beside the machine's limits: it does not go with --no-peaks or "
        "--mode update");
  }
  const Bench bench = bench_of(arguments);
  if (arguments.json != "-") fmt::print("{}", bench_text(bench, Terminal(STDOUT_FILENO).table_columns()));
  if (!arguments.page.empty()) write_file_atomically(arguments.page, report::page_text(bench_page(bench)));
  if (arguments.json.empty()) return;
  const std::string text = bench_json(bench).dump(1) + "\n";
  if (arguments.json == "-") {
    fmt::print("{}", text);
  } else {
    write_file_atomically(arguments.json, text);
  }
}

void add_work_options(CLI::App& verb, BenchArguments& arguments) {
  add_value(verb, "--model", "NAME|FILE", "network: see 'descent list models', or a network file",
            arguments.model, [&arguments](const std::string& text) { arguments.model = text; });
  add_value(verb, "--mode", "MODE", "train, infer or update", arguments.mode,
            [&arguments](const std::string& text) {
              arguments.mode = modes.at(parse_choice("--mode", text, modes));
            });
  add_value(
      verb, "--batch,--batch-size", "N", "pictures a step", std::to_string(arguments.batch),
      [&arguments](const std::string& text) { arguments.batch = parse_count("--batch", text, 1, 1 << 20); });
  add_value(verb, "--size", "HxW", "height and width of the pictures; one number: both", "the network's own",
            [&arguments](const std::string& text) { arguments.size = parse_size(text); });
  add_value(verb, "--classes", "N", "number of classes", "the network's own",
            [&arguments](const std::string& text) {
              arguments.classes = parse_count("--classes", text, 1, 1 << 20);
            });
  add_value(verb, "--data", "NAME|DIR", "train on this data set's pictures", "synthetic pictures",
            [&arguments](const std::string& text) {
              if (text.empty()) throw Error("--data needs a name or a folder");
              arguments.data = text;
            });
  add_value(verb, "--optimizer", "NAME", "optimizer: see 'descent list optimizers'", arguments.optimizer,
            [&arguments](const std::string& text) { arguments.optimizer = text; });
  add_value(verb, "--parameters", "N", "for --mode update: how many parameters, as 25e6", "25e6",
            [&arguments](const std::string& text) { arguments.parameters = parse_parameters(text); });
  add_value(verb, "--runs", "N", "how often the work is done", "as often as fits into a second, at least 5",
            [&arguments](const std::string& text) {
              arguments.runs = static_cast<int>(parse_count("--runs", text, 1, 1'000'000));
            });
}

}  // namespace

void add_bench(CLI::App& program) {
  const auto arguments = std::make_shared<BenchArguments>();
  CLI::App* verb = program.add_subcommand("bench", "measure how fast a network trains and answers here");
  verb->footer(footer);
  add_work_options(*verb, *arguments);
  add_device_options(*verb, arguments->device);
  add_value(*verb, "--json", "FILE",
            "write all that was measured as JSON; '-': to standard output, instead of the table", "none",
            [arguments](const std::string& text) {
              if (text.empty()) throw Error("--json needs a file, or '-'");
              arguments->json = text;
            });
  add_value(*verb, "--page", "FILE.html", "write a page: every operation under the roofs of the machine",
            "none", [arguments](const std::string& text) {
              if (text.empty()) throw Error("--page needs a file");
              arguments->page = text;
            });
  verb->add_flag("--no-peaks", arguments->no_peaks,
                 "do not measure the machine's limits: no shares of them (default: off)");
  verb->callback([arguments] { run(*arguments); });
}

}  // namespace descent::cli
