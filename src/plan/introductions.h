// Who wrote a value, for the one that alone reads it: neighbouring kernels may spare each other passes over
// memory.
#pragma once

#include "plan/kernel.h"

#include <cstddef>
#include <map>
#include <vector>

namespace descent {

// For one plan; kernels come in the order in which they run.
class Introductions {
 public:
  // To be called for each kernel: who writes each of its inputs, in the format that it reads; null where there
  // is none or others read the value too.
  [[nodiscard]] std::vector<Kernel*> introduce(const KernelRequest& request, Kernel& kernel) {
    std::vector<Kernel*> found;
    for (std::size_t input = 0; input < request.inputs.size(); ++input) {
      const auto writer = writers_.find(request.unit.inputs[input]);
      const bool alone = request.is_sole_reader(input) && writer != writers_.end() &&
                         writer->second->needs().output == kernel.needs().inputs[input];
      found.push_back(alone ? writer->second : nullptr);
    }
    writers_[request.unit.output] = &kernel;
    return found;
  }

 private:
  std::map<ValueId, Kernel*> writers_;  // of the values so far
};

}  // namespace descent
