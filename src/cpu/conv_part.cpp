#include "cpu/conv_part.h"

#include "descent/error.h"

namespace descent {

double ConvProblem::flops() const {
  return 2.0 * static_cast<double>(destination.elements()) *
         static_cast<double>(weights()[1] * op.kernel.height * op.kernel.width);
}

std::unique_ptr<ConvPart> make_conv_part(const ConvTools& tools, const ConvProblem& problem,
                                         Direction direction, const ConvChoice& choice) {
  if (choice.implementation != winograd_name)
    return make_library_part(tools.onednn, problem, direction, choice);
  if (!suits_winograd(problem, direction, choice)) return nullptr;
  return make_winograd_part(tools.context, problem, direction, choice);
}

std::unique_ptr<ConvPart> make_chosen_conv_part(const ConvTools& tools, const ConvProblem& problem,
                                                Direction direction, const ConvChoice& choice) {
  std::unique_ptr<ConvPart> part = make_conv_part(tools, problem, direction, choice);
  if (!part) {
    throw Error(
        "the plan cache names a convolution that this build or its oneDNN does not have: remove descent's plan "
        "files from "
        "the cache folder",
        Fault::failure);
  }
  return part;
}

}  // namespace descent
