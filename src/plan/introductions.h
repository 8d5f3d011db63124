// Who wrote a value, for the one that alone reads it: neighbouring kernels may spare each other passes over
// memory.
#pragma once

#include "plan/kernel.h"

#include <map>

namespace descent {

// For one plan; kernels come in the order in which they run.
class Introductions {
 public:
  // To be called for each kernel: who writes its input 0, in the format that it reads; null where there is none
  // or others read the value too.
  [[nodiscard]] Kernel* introduce(const KernelRequest& request, Kernel& kernel) {
    const auto writer = writers_.find(request.unit.inputs.front());
    writers_[request.unit.output] = &kernel;
    const bool alone = request.is_sole_reader && writer != writers_.end() &&
                       writer->second->needs().output == kernel.needs().inputs.front();
    return alone ? writer->second : nullptr;
  }

 private:
  std::map<ValueId, Kernel*> writers_;  // of the values so far
};

}  // namespace descent
