// The CPU device without the headers of its library.
#pragma once

#include "descent/device.h"

#include <memory>

namespace descent {

[[nodiscard]] std::unique_ptr<Device> make_cpu_device(const DeviceOptions& options);

}  // namespace descent
