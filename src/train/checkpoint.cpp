#include "descent/checkpoint.h"

#include "descent/error.h"
#include "descent/weights.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

namespace descent {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* key = "descent.fit";  // of the metadata: a JSON object
constexpr int version = 1;                  // of that object

std::string slot_prefix(std::size_t slot) {
  return "optimizer." + std::to_string(slot) + ".";
}

// What an optimizer keeps has the shapes of the parameters that are trained.
ParameterLayout trained_part(const ParameterLayout& layout) {
  return {layout.trained, {}, {}, layout.trained_elements, 0};
}

// Calls f(name, value) with all that the metadata hold: to write them and to read them.
template <class Checkpoint, class Function>
void for_each_field(Checkpoint& checkpoint, const Function& f) {
  auto& position = checkpoint.position;
  f("epoch", position.epoch);
  f("step", position.step);
  f("batch", position.batch);
  f("loss_sum", position.sums.loss_sum);
  f("correct", position.sums.correct);
  f("pictures", position.sums.pictures);
  f("seconds", position.sums.seconds);
  f("learning_rate", position.learning_rate);
  f("best_accuracy", position.best_accuracy);
  f("steps_per_epoch", checkpoint.steps_per_epoch);
  f("optimizer", checkpoint.optimizer);
  f("updates", checkpoint.updates);
}

std::string progress_text(const FitCheckpoint& checkpoint) {
  Json json{{"version", version}};
  for_each_field(checkpoint, [&](const char* name, const auto& value) { json[name] = value; });
  return json.dump();
}

FitCheckpoint parse_progress(const std::string& text, const std::string& source) {
  FitCheckpoint checkpoint;
  const FitPosition& position = checkpoint.position;
  try {
    const Json json = Json::parse(text);
    if (json.at("version") != version) {
      throw Error("'" + source +
                  "' was written by another version of descent, and cannot be taken up by this one");
    }
    for_each_field(checkpoint, [&](const char* name, auto& value) { json.at(name).get_to(value); });
  } catch (const Json::exception& fault) {
    throw Error("'" + source + "': its metadata " + key + " cannot be read: " + fault.what());
  }
  const bool whole = position.epoch >= 0 && position.batch >= 0 && position.step >= position.batch &&
                     checkpoint.updates >= 0 && std::isfinite(position.sums.loss_sum);
  if (!whole) throw Error("'" + source + "': its metadata " + key + " is no position of a fit");
  return checkpoint;
}

// Takes the tensors whose names begin so out of the file, under the rest of their names.
SafetensorsFile taken_out(SafetensorsFile& content, const std::string& prefix) {
  SafetensorsFile part;
  const auto others = std::stable_partition(content.tensors.begin(), content.tensors.end(),
                                            [&](const auto& one) { return !one.name.starts_with(prefix); });
  std::move(others, content.tensors.end(), std::back_inserter(part.tensors));
  content.tensors.erase(others, content.tensors.end());
  for (FileTensor& tensor : part.tensors) tensor.name.erase(0, prefix.size());
  return part;
}

}  // namespace

FitCheckpoint checkpoint_of(const FitState& state) {
  FitCheckpoint checkpoint;
  checkpoint.position = state.next;
  checkpoint.steps_per_epoch = state.steps_per_epoch;
  checkpoint.parameters = state.store.download();
  checkpoint.optimizer = name(state.optimizer);
  OptimizerState& kept = state.optimizer_state;
  checkpoint.updates = kept.step;
  checkpoint.slots.resize(kept.slots() * state.store.layout().trained_elements);
  Device& device = state.store.device();
  if (!checkpoint.slots.empty())
    device.download(checkpoint.slots, kept.values().data(), device.parameter_type());
  return checkpoint;
}

void save_checkpoint(const std::filesystem::path& file, const FitCheckpoint& checkpoint,
                     const ParameterLayout& layout) {
  SafetensorsFile content;
  content.metadata[key] = progress_text(checkpoint);
  content.tensors = tensors_from(checkpoint.parameters, layout);
  const ParameterLayout trained = trained_part(layout);
  const std::size_t elements = layout.trained_elements;
  for (std::size_t slot = 0; slot * elements < checkpoint.slots.size(); ++slot) {
    const auto values = std::span(checkpoint.slots).subspan(slot * elements, elements);
    for (FileTensor& tensor : tensors_from({{values.begin(), values.end()}, {}, {}}, trained)) {
      tensor.name.insert(0, slot_prefix(slot));
      content.tensors.push_back(std::move(tensor));
    }
  }
  write_safetensors(file, content);
}

FitCheckpoint load_checkpoint(const std::filesystem::path& file, const ParameterLayout& layout) {
  const std::string source = file.string();
  SafetensorsFile content = read_safetensors(file);
  const auto text = content.metadata.find(key);
  if (text == content.metadata.end()) throw Error("'" + source + "' holds weights, and no fit to take up");
  FitCheckpoint checkpoint = parse_progress(text->second, source);
  const ParameterLayout trained = trained_part(layout);
  for (std::size_t slot = 0;; ++slot) {
    const SafetensorsFile part = taken_out(content, slot_prefix(slot));
    if (part.tensors.empty()) break;
    const std::vector<float> values = parameters_from(part, trained, source).trained;
    checkpoint.slots.insert(checkpoint.slots.end(), values.begin(), values.end());
  }
  checkpoint.parameters = parameters_from(content, layout, source);
  return checkpoint;
}

}  // namespace descent
