// The devices of this build: the one list.

#include "base/names.h"
#include "cpu/device.h"
#include "descent/device.h"
#include "descent/error.h"

namespace descent {

std::vector<std::string> device_names() {
  return {"cpu"};
}

std::unique_ptr<Device> make_device(std::string_view name, const DeviceOptions& options) {
  if (name == "cpu") return std::make_unique<CpuDevice>(options);
  const std::vector<std::string> names = device_names();
  const std::vector<std::string_view> views(names.begin(), names.end());
  throw Error(unknown_name("device", name, views));
}

}  // namespace descent
