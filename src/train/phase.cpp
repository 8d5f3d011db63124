#include "train/phase.h"

#include "descent/error.h"

#include <algorithm>

namespace descent {

PhasePlans::PhasePlans(const Network& network, ParameterStore& store, const PictureSet& pictures,
                       std::int64_t batch_size, PlanRequest request)
    : pictures_(static_cast<std::int64_t>(pictures.size())), batch_size_(std::min(batch_size, pictures_)) {
  request.batch = batch_size_;
  full_ = store.device().prepare(network, request, store);
  request.timed_batch = batch_size_;
  request.batch = pictures_ % batch_size_;
  if (request.batch != 0) last_ = store.device().prepare(network, request, store);
}

BatchRange PhasePlans::range(std::int64_t batch) const {
  const std::int64_t first = batch * batch_size_;
  return {first, std::min(batch_size_, pictures_ - first)};
}

std::size_t PhasePlans::workspace_bytes() const {
  return std::max(full_->workspace_bytes(), last_ ? last_->workspace_bytes() : 0);
}

void PhasePlans::bind(Buffer& workspace) const {
  full_->bind(workspace);
  if (last_) last_->bind(workspace);
}

void refuse_loss(Plan& plan, const StepContext& context, const std::string& moment) {
  const std::optional<std::string> layer = plan.first_nonfinite_layer(context);
  throw Error("the loss is not finite " + moment +
                  (layer ? ": layer '" + *layer + "' is the first whose output is not finite"
                         : ", though every layer's output is") +
                  "; a lower learning rate may help",
              Fault::failure);
}

std::int64_t valid_batch_size(const TrainSettings& settings) {
  return settings.valid_batch_size > 0 ? settings.valid_batch_size : 2 * settings.batch_size;
}

namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw Error(message);
}

}  // namespace

void check_pictures(const Network& network, const PictureSet& pictures, const std::string& part) {
  require(pictures.size() > 0, "there are no " + part);
  require(pictures.shape == network.input, "the " + part + " are " + to_string(pictures.shape) +
                                               " but network '" + network.name + "' reads " +
                                               to_string(network.input));
  const auto [least, most] = std::minmax_element(pictures.labels.begin(), pictures.labels.end());
  require(*least >= 0 && *most < network.classes(),
          "the " + part + " have the label " + std::to_string(*least < 0 ? *least : *most) + " but network '" +
              network.name + "' knows " + std::to_string(network.classes()) + " classes");
}

void check_fit(const Network& network, const ParameterLayout& layout, const DataSet& data,
               const TrainSettings& settings) {
  require(settings.epochs > 0, "the number of epochs must be at least 1");
  require(settings.steps >= 0, "the number of steps must not be negative");
  require(settings.batch_size > 0, "the batch size must be at least 1");
  require(settings.watch_every > 0, "the number of steps from one watched step to the next must be at least 1");
  require(settings.valid_batch_size >= 0, "the batch size of validation must not be negative");
  check_pictures(network, data.train, "training pictures of data set '" + data.name + "'");
  check_pictures(network, data.valid, "validation pictures of data set '" + data.name + "'");

  check_augmentation(settings.augmentation, data.train.shape);

  const auto pictures = static_cast<std::int64_t>(data.train.size());
  const std::int64_t batch = std::min(settings.batch_size, pictures);
  check_training_batch(network, batch);
  if (pictures % batch != 0) check_training_batch(network, pictures % batch);
  static_cast<void>(update_ranges(layout, settings.groups));  // a pattern that matches nothing
}

}  // namespace descent
