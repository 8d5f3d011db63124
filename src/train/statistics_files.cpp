#include "base/csv.h"
#include "train/statistics.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace descent {

namespace {

// Empty where there is no summary.
std::string moments(const std::optional<Summary>& summary) {
  if (!summary) return ",";
  return csv_number(summary->mean) + "," + csv_number(summary->standard_deviation());
}

std::string histogram_header() {
  std::string header = "step,layer";
  for (std::size_t bin = 0; bin < Summary::bins; ++bin) header += fmt::format(",h{}", bin);
  return header;
}

void write_rows(LineWriter& file, std::string rows) {
  if (rows.empty()) return;
  rows.pop_back();  // the last line's end: LineWriter adds it
  file.write(std::move(rows));
}

}  // namespace

StatisticsFiles::StatisticsFiles(const std::filesystem::path& folder, const Network& network,
                                 std::int64_t first_step)
    : layers_(folder / "layers.csv", "step,layer,output_mean,output_std,gradient_mean,gradient_std",
              first_step),
      histograms_(folder / "histograms.csv", histogram_header(), first_step),
      parameters_(folder / "parameters.csv", "step,parameter,mean,std,update_mean,update_std,update_ratio",
                  first_step),
      gradients_(folder / "gradients.csv", "step,norm", first_step) {
  for (const Layer& layer : network.layers) names_.push_back(csv_field(layer.name));
}

void StatisticsFiles::write(const StepStatistics& statistics) {
  std::string layers;
  std::string histograms;
  for (const LayerSummary& layer : statistics.layers) {
    const std::string& name = names_[layer.layer];
    layers +=
        fmt::format("{},{},{},{}\n", statistics.step, name, moments(layer.output), moments(layer.gradient));
    if (!layer.output) continue;
    histograms += fmt::format("{},{},{}\n", statistics.step, name, fmt::join(layer.output->histogram, ","));
  }
  std::string parameters;
  for (const ParameterSummary& parameter : statistics.parameters) {
    parameters +=
        fmt::format("{},{},{},{},{}\n", statistics.step, csv_field(parameter.name), moments(parameter.value),
                    moments(parameter.update), csv_number(parameter.update_ratio()));
  }
  write_rows(layers_, std::move(layers));
  write_rows(histograms_, std::move(histograms));
  write_rows(parameters_, std::move(parameters));
  gradients_.write(fmt::format("{},{}", statistics.step, csv_number(statistics.gradient_norm)));
}

}  // namespace descent
