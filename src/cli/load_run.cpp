#include "cli/load_run.h"

#include "descent/weights.h"

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

namespace descent::cli {

std::pair<Network, DataSet> load_run(const RunSettings& run) {
  Network network = load_network(run.model);
  DataSet data = load_data_set(run.data, network.input);
  const auto classes = static_cast<std::int64_t>(data.classes.size());
  if (classes > 0 && classes != network.classes()) network = load_network(run.model, classes);
  return {std::move(network), std::move(data)};
}

HostParameters first_parameters(const RunSettings& run, const Network& network, const ParameterLayout& layout) {
  const auto draw = [&] { return initialise(network, layout, run.initialisation, run.train.seed); };
  if (run.init_from.empty()) return draw();
  const std::string source = weights_file(run.init_from).string();
  SafetensorsFile content = read_safetensors(source);
  if (const std::vector<std::string> replaced = replace_head(content, layout, draw); !replaced.empty()) {
    fmt::print(stderr, "descent: '{}' knows other classes than the {} of the data: drawn anew are {}\n", source,
               network.classes(), fmt::join(replaced, ", "));
  }
  return parameters_from(content, layout, source);
}

}  // namespace descent::cli
