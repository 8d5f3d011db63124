// One pass over a set of pictures in batches: its prepared plans, and what is checked before it.
#pragma once

#include "descent/data.h"
#include "descent/device.h"
#include "descent/train.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace descent {

// A batch's place in the order of its phase.
struct BatchRange {
  std::int64_t first = 0;
  std::int64_t pictures = 0;
};

// Batches of a pass over so many pictures; the last one may be smaller.
[[nodiscard]] constexpr std::int64_t batch_count(std::int64_t pictures, std::int64_t batch_size) {
  return (pictures + batch_size - 1) / batch_size;
}

// Plans over one store: for the full batch, and for what is left at the end.
class PhasePlans {
 public:
  PhasePlans(const Network& network, ParameterStore& store, const PictureSet& pictures, std::int64_t batch_size,
             PlanRequest request);

  [[nodiscard]] std::int64_t batches() const { return batch_count(pictures_, batch_size_); }
  [[nodiscard]] BatchRange range(std::int64_t batch) const;
  [[nodiscard]] Plan& plan(const BatchRange& range) const {
    return range.pictures == batch_size_ ? *full_ : *last_;
  }

  // Plans never run at the same time: all may share one workspace.
  [[nodiscard]] std::size_t workspace_bytes() const;
  void bind(Buffer& workspace) const;

 private:
  std::int64_t pictures_;
  std::int64_t batch_size_;  // at most pictures_
  std::unique_ptr<Plan> full_;
  std::unique_ptr<Plan> last_;  // null if batches come out even
};

// For a loss that is not finite: throws Error (Fault::failure) naming the moment and the first layer whose
// output is not finite.
[[noreturn]] void refuse_loss(Plan& plan, const StepContext& context, const std::string& moment);

// That there are pictures, of the network's input shape, and that it knows their labels. `part` names them
// in errors: "training pictures of data set 'x'".
void check_pictures(const Network& network, const PictureSet& pictures, const std::string& part);

// Everything about a fit that can be found wrong before its first step. Throws Error.
void check_fit(const Network& network, const ParameterLayout& layout, const DataSet& data,
               const TrainSettings& settings);

[[nodiscard]] std::int64_t valid_batch_size(const TrainSettings& settings);

}  // namespace descent
