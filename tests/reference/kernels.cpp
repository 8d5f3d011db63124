#include "reference/kernels.h"

namespace descent::reference {

Sizes::Sizes(const Shape& shape) {
  if (shape.rank() > 0) n = shape[0];
  if (shape.rank() > 1) c = shape[1];
  if (shape.rank() > 2) h = shape[2];
  if (shape.rank() > 3) w = shape[3];
}

ReferenceKernel::ReferenceKernel(const KernelRequest& request)
    : mode_(request.plan.mode),
      in_(request.inputs.front().shape),
      out_(request.output.shape),
      operation_(descent::name(request.unit.first().op)) {
  needs_.output = {DType::f64, Layout::plain};
  needs_.inputs.assign(request.inputs.size(), needs_.output);
}

OperationReport ReferenceKernel::report(const char* direction) const {
  OperationReport line;
  line.operation = operation_ + " " + direction;
  line.implementation = "naive";
  line.layout = "plain";
  return line;
}

}  // namespace descent::reference
