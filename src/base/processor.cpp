#include "base/processor.h"

#include <fmt/format.h>

#include <fstream>

namespace descent {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string model = "unknown processor";
  std::string family;
  std::string number;
  const auto value = [](const std::string& line) {
    const std::size_t colon = line.find(": ");
    return colon == std::string::npos ? std::string{} : line.substr(colon + 2);
  };
  for (std::string line; std::getline(file, line) && !line.empty();) {
    if (line.starts_with("model name")) model = value(line);
    if (line.starts_with("cpu family")) family = value(line);
    if (line.starts_with("model\t")) number = value(line);
  }
  if (family.empty()) return model;
  return fmt::format("{} (family {}, model {})", model, family, number);
}

}  // namespace descent
