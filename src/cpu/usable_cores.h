// How many cores the process may use, and how its threads treat denormal numbers.
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

// Makes results and operands too small to be normal count as zero, in the calling thread and its team of
// `threads`: arithmetic on them is tens of times slower. It changes bits, so it is always done.
void flush_denormals(int threads);
[[nodiscard]] bool denormals_are_flushed() noexcept;  // in the calling thread

}  // namespace descent
