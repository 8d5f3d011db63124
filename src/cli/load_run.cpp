#include "cli/load_run.h"

#include "descent/weights.h"

namespace descent::cli {

std::pair<Network, DataSet> load_run(const RunSettings& run) {
  Network network = load_network(run.model);
  DataSet data = load_data_set(run.data, network.input);
  const auto classes = static_cast<std::int64_t>(data.classes.size());
  if (classes > 0 && classes != network.classes()) network = load_network(run.model, classes);
  return {std::move(network), std::move(data)};
}

HostParameters first_parameters(const RunSettings& run, const Network& network, const ParameterLayout& layout) {
  if (run.init_from.empty()) return initialise(network, layout, run.initialisation, run.train.seed);
  return parameters_from(read_safetensors(run.init_from), layout, run.init_from);
}

}  // namespace descent::cli
