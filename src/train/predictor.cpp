#include "descent/predictor.h"

#include "descent/error.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace descent {

namespace {

void softmax(std::span<const float> logits, std::span<float> shares) {
  const double largest = *std::ranges::max_element(logits);
  const auto power = [largest](float logit) { return std::exp(static_cast<double>(logit) - largest); };
  double sum = 0;
  for (const float logit : logits) sum += power(logit);
  std::ranges::transform(logits, shares.begin(),
                         [&](float logit) { return static_cast<float>(power(logit) / sum); });
}

}  // namespace

// The plan goes first: it points into the others.
struct Predictor::Parts {
  Parts(Device& on, const Model& model, std::int64_t batch_size, DType precision)
      : description(model.description),
        batch(batch_size),
        store(on, parameter_layout(description.network), false) {
    store.upload(model.parameters);
    plan =
        on.prepare(description.network,
                   {.mode = Mode::infer, .batch = batch, .loads_alone = true, .precision = precision}, store);
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
    answer.probabilities.resize(row.size());
    softmax(row, answer.probabilities);
    return answer;
  }

  void check_inputs(std::span<const std::uint8_t> inputs, std::size_t count) const {
    const Network& network = description.network;
    const auto picture_bytes = static_cast<std::size_t>(network.input.elements());
    if (count > inputs.size() / picture_bytes || count * picture_bytes != inputs.size()) {
      throw Error(std::to_string(count) + " pictures of " + to_string(network.input) + " do not have " +
                  std::to_string(inputs.size()) + " bytes");
    }
  }

  // Calls f(picture, its logits) for every picture in turn.
  template <class Function>
  void for_each_row(std::span<const std::uint8_t> inputs, std::size_t count, const Function& f) {
    check_inputs(inputs, count);
    const PictureSource source{inputs, {}, description.network.input, &description.network.normalisation};
    for (std::size_t first = 0; first < count; first += order.size()) {
      // A plan has one batch size: a partial batch repeats its last picture and drops the answers.
      for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = static_cast<std::uint32_t>(std::min(first + i, count - 1));
      }
      plan->load(source, {order});
      plan->forward(StepContext{});
      plan->read(Plan::Port::output, logits);
      const std::size_t rows = std::min(order.size(), count - first);
      for (std::size_t row = 0; row < rows; ++row) {
        f(first + row, std::span<const float>(logits).subspan(row * classes(), classes()));
      }
    }
  }

  ModelDescription description;
  std::int64_t batch;
  ParameterStore store;
  Buffer workspace;
  std::unique_ptr<Plan> plan;
  std::vector<std::uint32_t> order;
  std::vector<float> logits;
};

Predictor::Predictor(Device& device, const Model& model, std::int64_t batch_size, DType precision) {
  if (batch_size < 1)
    throw Error("a predictor's batch size must be at least 1, not " + std::to_string(batch_size));
  const std::size_t names = model.description.classes.size();
  if (names != 0 && static_cast<std::int64_t>(names) != model.description.network.classes()) {
    throw Error("the model has " + std::to_string(model.description.network.classes()) + " classes, but " +
                std::to_string(names) + " class names");
  }
  parts_ = std::make_unique<Parts>(device, model, batch_size, precision);
}

Predictor::~Predictor() = default;
Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;

Prediction Predictor::predict(const Picture& picture, const PictureRule& rule) {
  const std::vector<std::uint8_t> input = to_input(picture, parts_->description.network.input, rule);
  return std::move(predict(input, 1).front());
}

std::vector<Prediction> Predictor::predict(std::span<const std::uint8_t> inputs, std::size_t count) {
  parts_->check_inputs(inputs, count);
  std::vector<Prediction> answers;
  answers.reserve(count);
  parts_->for_each_row(inputs, count, [&](std::size_t /*picture*/, std::span<const float> logits) {
    answers.push_back(parts_->prediction(logits));
  });
  return answers;
}

void Predictor::predict(std::span<const std::uint8_t> inputs, std::size_t count,
                        std::span<float> probabilities) {
  const std::size_t classes = parts_->classes();
  if (count > probabilities.size() / classes || count * classes != probabilities.size()) {
    throw Error(std::to_string(count) + " rows of " + std::to_string(classes) + " classes do not fit " +
                std::to_string(probabilities.size()) + " numbers");
  }
  parts_->for_each_row(inputs, count, [&](std::size_t picture, std::span<const float> logits) {
    softmax(logits, probabilities.subspan(picture * classes, classes));
  });
}

}  // namespace descent
