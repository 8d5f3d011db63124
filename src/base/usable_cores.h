// How many cores the process may use.
#pragma once

#include <filesystem>
#include <optional>

namespace descent {

// Cores that the cgroup quotas (v1 and v2, of the process's own group and every group above it) give,
// rounded up; nothing where there is no quota. `root` is the folder that holds proc and sys.
[[nodiscard]] std::optional<int> cgroup_cores(const std::filesystem::path& root = "/");

// Cores in the process's affinity mask.
[[nodiscard]] int affinity_cores();

// What the user asks for with OMP_NUM_THREADS; nothing if it is not set or not a positive number. Of a list
// for nested regions, the first.
[[nodiscard]] std::optional<int> requested_threads();

}  // namespace descent
