// One CUDA kernel on a unit of layers, without a plan around it.
#pragma once

#include "case_run.h"
#include "op_cases.h"
#include "plan/kernel.h"
#include "test_stream.h"

#include <functional>
#include <memory>

namespace descent::test {

using MakeKernel = std::function<std::unique_ptr<Kernel>(const KernelRequest&, Layout, const CudaContext&)>;

struct UnitRun {
  bool again = false;   // twice, in the same memory
  bool beside = false;  // with a second stream for what may run beside
};
// A step of the row's layers as one unit, channels-last, from the same values as CaseRun. Leading flattening is
// left out: its output's bytes are the input's.
[[nodiscard]] Outcome run_unit(const MakeKernel& make, const OpCase& row, DType precision,
                               const UnitRun& how = {});

}  // namespace descent::test
