#include "base/usable_cores.h"

#include "descent/device.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace descent {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::string part;
  std::istringstream stream{std::string(text)};
  while (std::getline(stream, part, separator)) parts.push_back(part);
  return parts;
}

std::optional<double> to_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::string first_line(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

std::optional<double> cores_of(std::optional<double> quota, std::optional<double> period) {
  if (!quota || !period || *quota <= 0 || *period <= 0) return std::nullopt;  // v1 writes −1 for none
  return *quota / *period;
}

// The quota of one group, in cores.
std::optional<double> quota_v2(const fs::path& folder) {
  const std::vector<std::string> words = split(first_line(folder / "cpu.max"), ' ');  // "max 100000"
  if (words.size() < 2) return std::nullopt;
  return cores_of(to_number(words[0]), to_number(words[1]));
}

std::optional<double> quota_v1(const fs::path& folder) {
  return cores_of(to_number(first_line(folder / "cpu.cfs_quota_us")),
                  to_number(first_line(folder / "cpu.cfs_period_us")));
}

bool contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// One hierarchy: where it is mounted, which of its groups the mount shows, and which one is ours.
struct Hierarchy {
  fs::path mount;
  fs::path mount_root;
  bool v2 = false;
};

// mountinfo writes space, tab, newline and backslash in paths as octal: "\040".
std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr == text.data() + i + 4) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<Hierarchy> hierarchies(const fs::path& root) {
  std::vector<Hierarchy> found;
  std::ifstream stream(root / "proc/self/mountinfo");
  for (std::string line; std::getline(stream, line);) {
    // id parent device mount-root mount-point options [optional fields] - type source super-options
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> before = split(std::string_view(line).substr(0, dash), ' ');
    const std::vector<std::string> after = split(std::string_view(line).substr(dash + 3), ' ');
    if (before.size() < 5 || after.size() < 3) continue;
    const bool v2 = after[0] == "cgroup2";
    if (!v2 && !(after[0] == "cgroup" && contains(split(after[2], ','), "cpu"))) continue;
    found.push_back({fs::path(unescape(before[4])), fs::path(unescape(before[3])), v2});
  }
  return found;
}

// The group of this process in the v2 hierarchy, or in the v1 hierarchy of the cpu controller.
std::optional<fs::path> own_group(const fs::path& root, bool v2) {
  std::ifstream stream(root / "proc/self/cgroup");
  for (std::string line; std::getline(stream, line);) {  // "0::/user.slice", "4:cpu,cpuacct:/docker/1f"
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const bool wanted =
        v2 ? line.substr(0, first) == "0" && controllers.empty() : contains(split(controllers, ','), "cpu");
    if (wanted) return fs::path(line.substr(second + 1));
  }
  return std::nullopt;
}

// Our group as the mount shows it. In a container the mount often shows our group as its root while
// /proc/self/cgroup still gives the path on the host.
fs::path visible_group(const fs::path& group, const fs::path& mount_root) {
  const fs::path relative = group.lexically_relative(mount_root);
  if (relative.empty() || *relative.begin() == "..") return {};
  return relative == "." ? fs::path() : relative;
}

}  // namespace

std::optional<int> cgroup_cores(const fs::path& root) {
  double least = std::numeric_limits<double>::infinity();
  for (const Hierarchy& hierarchy : hierarchies(root)) {
    const std::optional<fs::path> group = own_group(root, hierarchy.v2);
    if (!group) continue;
    const fs::path mount = root / hierarchy.mount.relative_path();
    const fs::path own = visible_group(*group, hierarchy.mount_root);
    // A quota of a group binds all groups inside it.
    fs::path folder = mount;
    const auto apply = [&] {
      const std::optional<double> cores = hierarchy.v2 ? quota_v2(folder) : quota_v1(folder);
      if (cores) least = std::min(least, *cores);
    };
    apply();
    for (const fs::path& name : own) {
      folder /= name;
      apply();
    }
  }
  constexpr double most = 1 << 20;
  if (!std::isfinite(least)) return std::nullopt;
  return static_cast<int>(std::clamp(std::ceil(least), 1.0, most));
}

int affinity_cores() {
  constexpr int most = 1 << 16;
  for (int capacity = CPU_SETSIZE; capacity <= most; capacity *= 2) {  // the kernel's mask may be larger
    cpu_set_t* const set = CPU_ALLOC(static_cast<std::size_t>(capacity));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(capacity));
    const int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::optional<int> requested_threads() {
  const char* const text = std::getenv("OMP_NUM_THREADS");
  if (text == nullptr) return std::nullopt;
  const std::optional<double> value = to_number(split(text, ',').empty() ? "" : split(text, ',').front());
  if (!value || *value < 1) return std::nullopt;
  return static_cast<int>(std::min(*value, 4096.0));
}

int usable_cores() {
  const int affinity = affinity_cores();
  return std::max(1, std::min(affinity, cgroup_cores().value_or(affinity)));
}

}  // namespace descent
