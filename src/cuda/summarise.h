// Mean, deviations and histogram of a tensor.
#pragma once

#include "cuda/context.h"
#include "cuda/memory.h"
#include "descent/device.h"

#include <cstddef>
#include <vector>

namespace descent {

class CudaSummaries {
 public:
  explicit CudaSummaries(const CudaContext& context);

  // Starts; `result` is complete after finish().
  void start(const Device::Values& values, bool histogram, Summary& result);
  // Once the stream has been waited for.
  void finish();

 private:
  CudaContext context_;
  DeviceBytes parts_;
  PinnedBytes letters_;            // one a summary that has been started
  std::vector<Summary*> waiting_;  // whose they are
};

}  // namespace descent
