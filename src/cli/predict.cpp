// descent predict: names what is in pictures.
#include "cli/answers.h"
#include "cli/cli.h"
#include "cli/model_arguments.h"
#include "cli/pictures.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "descent/error.h"
#include "descent/predictor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace descent::cli {

namespace {

constexpr std::array<std::string_view, 3> formats{"table", "csv", "json"};       // as AnswerFormat
constexpr std::array<std::string_view, 3> resizes{"fit", "squash", "imagenet"};  // as Resize

struct PredictArguments {
  ModelArguments model;
  std::vector<std::string> pictures;
  AnswerStyle style;
  PictureRule rule;
  std::int64_t batch_size = 64;
  DeviceArguments device;
};

// Answers pictures batch by batch; what cannot be read is named on standard error.
class PredictRun {
 public:
  PredictRun(const PredictArguments& arguments, std::vector<PictureItem> items)
      : arguments_(arguments),
        items_(std::move(items)),
        model_(arguments.model.load()),
        style_(arguments.style) {
    const ModelDescription& description = model_.description;
    style_.classes = description.classes;
    style_.class_count = static_cast<std::size_t>(description.network.classes());
    style_.top = std::min(style_.top, style_.class_count);
    style_.input_width = text_width("input");
    for (const PictureItem& item : items_)
      style_.input_width = std::max(style_.input_width, text_width(item.name));
  }

  // True if every picture was answered.
  bool run() {
    print(answer_header(style_));
    const auto batch = std::min(static_cast<std::size_t>(arguments_.batch_size), items_.size());
    for (std::size_t begin = 0; begin < items_.size(); begin += batch) {
      answer(std::span(items_).subspan(begin, std::min(batch, items_.size() - begin)), batch);
    }
    return complete_;
  }

 private:
  void answer(std::span<const PictureItem> items, std::size_t batch) {
    std::vector<std::uint8_t> inputs;
    std::vector<const PictureItem*> read;
    for (const PictureItem& item : items) {
      try {
        const auto input = item.input(model_.description.network.input, arguments_.rule);
        inputs.insert(inputs.end(), input.begin(), input.end());
        read.push_back(&item);
      } catch (const Error& error) {
        fmt::print(stderr, "descent: {}\n", error.what());
        complete_ = false;
      }
    }
    if (read.empty()) return;
    if (!predictor_) {
      device_ = arguments_.device.make();
      predictor_ = std::make_unique<Predictor>(*device_, model_, static_cast<std::int64_t>(batch),
                                               arguments_.device.precision);
    }
    std::string text;
    const std::vector<Prediction> predictions = predictor_->predict(inputs, read.size());
    for (std::size_t i = 0; i < read.size(); ++i) text += answer_text(read[i]->name, predictions[i], style_);
    print(text);
  }

  static void print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
      throw Error("cannot write to standard output", Fault::failure);
    }
  }

  const PredictArguments& arguments_;
  std::vector<PictureItem> items_;
  Model model_;
  AnswerStyle style_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Predictor> predictor_;
  bool complete_ = true;
};

}  // namespace

void add_predict(CLI::App& program) {
  const auto arguments = std::make_shared<PredictArguments>();
  CLI::App* verb = program.add_subcommand("predict", "name what is in pictures");
  add_model_options(*verb, arguments->model);
  verb->add_option("PICTURE", arguments->pictures, "pictures (jpg, png, bmp), folders of them, IDX files")
      ->required()
      ->type_name("...");
  add_value(*verb, "--top", "K", "classes to name, the most probable first", "1",
            [arguments](const std::string& text) {
              arguments->style.top = static_cast<std::size_t>(parse_count("--top", text));
            });
  add_value(*verb, "--format", "FORMAT", "table, csv or json (one object a line)", "table",
            [arguments](const std::string& text) {
              arguments->style.format = static_cast<AnswerFormat>(parse_choice("--format", text, formats));
            });
  verb->add_flag("--logits", arguments->style.logits, "also print the network's raw outputs (default: off)");
  add_value(*verb, "--resize", "RULE",
            "for pictures of another size: fit (shorter side, middle cropped), squash, or imagenet "
            "(shorter side 256 of 224, middle cropped)",
            "fit", [arguments](const std::string& text) {
              arguments->rule.resize = static_cast<Resize>(parse_choice("--resize", text, resizes));
            });
  verb->add_flag("--invert", arguments->rule.invert,
                 "swap dark and light, for dark drawings on white (default: off)");
  add_value(*verb, "--batch-size", "N", "pictures at a time", std::to_string(arguments->batch_size),
            [arguments](const std::string& text) {
              arguments->batch_size = parse_count("--batch-size", text, 1, 1 << 20);
            });
  add_device_options(*verb, arguments->device);
  verb->callback([arguments] {
    PredictRun run(*arguments, list_pictures(arguments->pictures));
    if (!run.run()) throw Exit{2};
  });
}

}  // namespace descent::cli
