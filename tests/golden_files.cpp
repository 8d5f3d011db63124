#include "golden_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace descent::test {

namespace {

// Rows of a CSV file without quotes, its header left out.
std::vector<std::vector<std::string>> csv_rows(const std::string& file) {
  std::ifstream stream(file);
  if (!stream) throw std::runtime_error(file + " is missing");
  std::vector<std::vector<std::string>> rows;
  std::string line;
  std::getline(stream, line);
  while (std::getline(stream, line)) {
    std::vector<std::string>& row = rows.emplace_back();
    std::istringstream cells(line);
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
  }
  return rows;
}

GoldenRun read_run(const std::vector<std::string>& row, const SafetensorsFile& ends, const Golden& golden) {
  GoldenRun run{row.at(0), row.at(1), std::stod(row.at(2)), row.at(3), std::stod(row.at(4)), {}, {}};
  for (std::size_t i = 5; i < row.size(); ++i) run.losses.push_back(std::stod(row[i]));
  // Trained tensors are kept as their change since the start.
  run.end = parameters_from(with_prefix(ends, run.name + "/"), golden.layout, run.name);
  for (std::size_t i = 0; i < run.end.trained.size(); ++i) run.end.trained[i] += golden.start.trained[i];
  return run;
}

GoldenGradients read_gradients(const Golden& golden) {
  GoldenGradients gradients;
  gradients.values.resize(golden.layout.trained_elements);
  const SafetensorsFile file = read_safetensors(test_data("golden/gradients.safetensors"));
  for (const ParameterEntry& entry : golden.layout.trained) {
    const std::vector<double> values = doubles_of(tensor_named(file, entry.name));
    std::ranges::transform(values, gradients.values.begin() + static_cast<std::ptrdiff_t>(entry.offset),
                           [](double value) { return static_cast<float>(value); });
  }
  for (const auto& row : csv_rows(test_data("golden/gradients.csv"))) {
    gradients.float_error[row.at(0)] = std::stod(row.at(2));
  }
  return gradients;
}

template <class Element>
std::vector<double> decode(std::span<const std::byte> bytes) {
  std::vector<double> values(bytes.size() / sizeof(Element));
  for (std::size_t i = 0; i < values.size(); ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof(Element), sizeof(Element));
    values[i] = static_cast<double>(element);
  }
  return values;
}

}  // namespace

Golden read_golden() {
  Golden golden;
  golden.network = load_network("convnet");
  golden.layout = parameter_layout(golden.network);
  const std::string start = test_data("golden/start.safetensors");
  golden.start = parameters_from(read_safetensors(start), golden.layout, start);
  golden.pictures = load_idx_pair(test_data("golden/train-images-idx3-ubyte.gz"),
                                  test_data("golden/train-labels-idx1-ubyte.gz"));
  golden.gradients = read_gradients(golden);
  const SafetensorsFile ends = read_safetensors(test_data("golden/runs.safetensors"));
  for (const auto& row : csv_rows(test_data("golden/runs.csv"))) {
    golden.runs.push_back(read_run(row, ends, golden));
  }
  return golden;
}

SafetensorsFile with_prefix(const SafetensorsFile& file, std::string_view prefix) {
  SafetensorsFile part;
  for (const FileTensor& tensor : file.tensors) {
    if (!tensor.name.starts_with(prefix)) continue;
    part.tensors.push_back(tensor);
    part.tensors.back().name.erase(0, prefix.size());
  }
  return part;
}

std::vector<double> doubles_of(const FileTensor& tensor) {
  if (tensor.type == DType::f32) return decode<float>(tensor.bytes);
  if (tensor.type == DType::f64) return decode<double>(tensor.bytes);
  throw std::runtime_error(tensor.name + " holds neither f32 nor f64");
}

const FileTensor& tensor_named(const SafetensorsFile& file, std::string_view name) {
  const auto found = std::ranges::find(file.tensors, name, &FileTensor::name);
  if (found == file.tensors.end()) throw std::runtime_error("no tensor " + std::string(name));
  return *found;
}

std::string test_data(const std::string& name) {
  return std::string(DESCENT_TEST_DATA "/") + name;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

}  // namespace descent::test
