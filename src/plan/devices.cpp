// The devices of this build: the one list, and the one place that knows what the build found.

#include "base/names.h"
#include "descent/device.h"
#include "descent/error.h"
#include "plan/cuda_library.h"
#if DESCENT_WITH_CPU
#include "cpu/make_device.h"
#endif

#include <charconv>
#include <optional>

namespace descent {

namespace {

// "cuda" is the first GPU, "cuda:1" the second; none for other names.
std::optional<int> cuda_ordinal(std::string_view name) {
  constexpr std::string_view kind = "cuda";
  if (!name.starts_with(kind)) return std::nullopt;
  name.remove_prefix(kind.size());
  if (name.empty()) return 0;
  if (name.front() != ':') return std::nullopt;
  name.remove_prefix(1);
  int ordinal = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), ordinal);
  const bool whole = failure == std::errc{} && end == name.data() + name.size() && ordinal >= 0;
  return whole ? std::optional(ordinal) : std::nullopt;
}

}  // namespace

std::vector<std::string> device_names() {
#if DESCENT_WITH_CPU
  return {"cpu", "cuda"};
#else
  return {"cuda"};
#endif
}

std::string default_device_name() {
  return device_names().front();
}

void check_device_name(std::string_view name) {
  const std::vector<std::string> names = device_names();
  const std::vector<std::string_view> views(names.begin(), names.end());
  for (const std::string_view known : views) {
    if (name == known) return;
  }
  if (cuda_ordinal(name)) return;
  if (name == "cpu") throw Error("this descent was built without the CPU device (oneDNN); it has 'cuda'");
  if (name.starts_with("cuda:")) {
    throw Error("'" + std::string(name) + "' names no device: after 'cuda:' comes the number of a GPU, from 0");
  }
  throw Error(unknown_name("device", name, views));
}

std::unique_ptr<Device> make_device(std::string_view name, const DeviceOptions& options) {
  check_device_name(name);
#if DESCENT_WITH_CPU
  if (name == "cpu") return make_cpu_device(options);
#endif
  return open_cuda_device(cuda_ordinal(name).value(), options);
}

}  // namespace descent
