#include "cli/run_facts.h"

#include "base/processor.h"

#include <fmt/format.h>
#include <omp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <string_view>

namespace descent::cli {

namespace {

std::string content_of(const char* file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

// "Debian GNU/Linux 12 (bookworm), Linux 6.1.0"
std::string os_text(const utsname& machine) {
  std::ifstream release("/etc/os-release");
  const std::string key = "PRETTY_NAME=";
  std::string distribution;
  for (std::string line; std::getline(release, line);) {
    if (line.starts_with(key)) distribution = line.substr(key.size());
  }
  std::erase(distribution, '"');
  return fmt::format("{}{}{} {}", distribution, distribution.empty() ? "" : ", ", machine.sysname,
                     machine.release);
}

bool is_plain(char character) {
  const auto byte = static_cast<unsigned char>(character);
  return std::isalnum(byte) != 0 || byte >= 0x80 ||
         std::string_view("-_./=:,+@%").find(character) != std::string_view::npos;
}

std::string shell_word(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, is_plain)) return std::string(word);
  std::string quoted = "'";
  for (const char character : word) quoted += character == '\'' ? "'\\''" : std::string(1, character);
  return quoted + '\'';
}

}  // namespace

std::string command_text(std::string_view words) {
  std::string text;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find('\0'), words.size());
    text += (text.empty() ? "" : " ") + shell_word(words.substr(0, end));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return text;
}

RunFacts run_facts(const Device& device, const DataSet& data, const Network& network,
                   const Optimizer& optimizer) {
  utsname machine{};
  static_cast<void>(::uname(&machine));
  RunFacts facts;
  facts.version = DESCENT_VERSION;
  // Without the program's folder: as it may be typed wherever the program lies.
  const std::string words = content_of("/proc/self/cmdline");
  const std::size_t folder = words.substr(0, words.find('\0')).rfind('/') + 1;  // its length
  facts.command = command_text(std::string_view(words).substr(folder));
  facts.device = device.description();
  facts.host = machine.nodename;
  facts.os = os_text(machine);
  facts.processor = processor_name();
  facts.compiler = DESCENT_COMPILER;
  facts.threads = omp_get_max_threads();
  facts.data = data.name;
  facts.model = network.name;
  facts.optimizer = name(optimizer);
  facts.classes = data.classes;
  facts.train_pictures = static_cast<std::int64_t>(data.train.size());
  facts.valid_pictures = static_cast<std::int64_t>(data.valid.size());
  return facts;
}

}  // namespace descent::cli
