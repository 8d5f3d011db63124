#include "descent/predictor.h"

#include "descent/error.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent {

namespace {

std::vector<float> softmax(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<double> powers(logits.size());
  double sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    powers[i] = std::exp(static_cast<double>(logits[i]) - largest);
    sum += powers[i];
  }
  std::vector<float> shares(logits.size());
  std::ranges::transform(powers, shares.begin(),
                         [sum](double power) { return static_cast<float>(power / sum); });
  return shares;
}

}  // namespace

// The plan goes first: it points into the others.
struct Predictor::Parts {
  Parts(Device& on, const Model& model, std::int64_t batch_size)
      : description(model.description),
        batch(batch_size),
        store(on, parameter_layout(description.network), false) {
    store.upload(model.parameters);
    plan = on.prepare(description.network, PlanRequest{.mode = Mode::infer, .batch = batch}, store);
    workspace = on.allocate(plan->workspace_bytes());
    plan->bind(workspace);
    order.resize(static_cast<std::size_t>(batch));
    logits.resize(order.size() * classes());
  }

  [[nodiscard]] std::size_t classes() const { return static_cast<std::size_t>(description.network.classes()); }

  [[nodiscard]] Prediction prediction(std::span<const float> row) const {
    Prediction answer;
    answer.index = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    answer.label =
        description.classes.empty() ? std::to_string(answer.index) : description.classes[answer.index];
    answer.logits.assign(row.begin(), row.end());
    answer.probabilities = softmax(row);
    return answer;
  }

  ModelDescription description;
  std::int64_t batch;
  ParameterStore store;
  Buffer workspace;
  std::unique_ptr<Plan> plan;
  std::vector<std::uint32_t> order;
  std::vector<float> logits;
};

Predictor::Predictor(Device& device, const Model& model, std::int64_t batch_size) {
  if (batch_size < 1)
    throw Error("a predictor's batch size must be at least 1, not " + std::to_string(batch_size));
  const std::size_t names = model.description.classes.size();
  if (names != 0 && static_cast<std::int64_t>(names) != model.description.network.classes()) {
    throw Error("the model has " + std::to_string(model.description.network.classes()) + " classes, but " +
                std::to_string(names) + " class names");
  }
  parts_ = std::make_unique<Parts>(device, model, batch_size);
}

Predictor::~Predictor() = default;
Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;

Prediction Predictor::predict(const Picture& picture, const PictureRule& rule) {
  const std::vector<std::uint8_t> input = to_input(picture, parts_->description.network.input, rule);
  return std::move(predict(input, 1).front());
}

std::vector<Prediction> Predictor::predict(std::span<const std::uint8_t> inputs, std::size_t count) {
  Parts& parts = *parts_;
  const Network& network = parts.description.network;
  const auto picture_bytes = static_cast<std::size_t>(network.input.elements());
  if (count > inputs.size() / picture_bytes || count * picture_bytes != inputs.size()) {
    throw Error(std::to_string(count) + " pictures of " + to_string(network.input) + " do not have " +
                std::to_string(inputs.size()) + " bytes");
  }
  const PictureSource source{inputs, {}, network.input, &network.normalisation};
  std::vector<Prediction> answers;
  answers.reserve(count);
  while (answers.size() < count) {
    // A plan has one batch size: a partial batch repeats its last picture and drops the answers.
    const std::size_t first = answers.size();
    for (std::size_t i = 0; i < parts.order.size(); ++i) {
      parts.order[i] = static_cast<std::uint32_t>(std::min(first + i, count - 1));
    }
    parts.plan->load(source, parts.order);
    parts.plan->forward(StepContext{});
    parts.plan->read(Plan::Port::output, parts.logits);
    const std::size_t rows = std::min(parts.order.size(), count - first);
    for (std::size_t row = 0; row < rows; ++row) {
      answers.push_back(
          parts.prediction(std::span(parts.logits).subspan(row * parts.classes(), parts.classes())));
    }
  }
  return answers;
}

}  // namespace descent
