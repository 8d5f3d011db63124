#include "cli/answers.h"

#include "base/csv.h"
#include "cli/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace descent::cli {

namespace {

// The most probable classes, best first; the smaller index first on ties.
std::vector<std::size_t> best_classes(const Prediction& prediction, std::size_t count) {
  std::vector<std::size_t> order(prediction.logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto size = [&](std::size_t i) {
    return std::isnan(prediction.logits[i]) ? -std::numeric_limits<float>::infinity() : prediction.logits[i];
  };
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return size(a) > size(b); });
  order.resize(std::min(count, order.size()));
  return order;
}

std::string class_name(std::size_t index, const AnswerStyle& style) {
  return style.classes.empty() ? std::to_string(index) : style.classes[index];
}

std::string json_class(std::size_t index, const Prediction& prediction, const AnswerStyle& style) {
  return fmt::format(R"("class":{},"index":{},"probability":{})", json_text(class_name(index, style)), index,
                     json_number(prediction.probabilities[index]));
}

std::string json_line(const std::string& input, const Prediction& prediction, const AnswerStyle& style) {
  const std::vector<std::size_t> best = best_classes(prediction, style.top);
  std::string line =
      fmt::format(R"({{"input":{},{})", json_text(input), json_class(best.front(), prediction, style));
  if (style.top > 1) {
    std::string top;
    for (const std::size_t index : best) {
      top += fmt::format("{}{{{}}}", top.empty() ? "" : ",", json_class(index, prediction, style));
    }
    line += fmt::format(R"(,"top":[{}])", top);
  }
  if (style.logits) line += fmt::format(R"(,"logits":{})", json_numbers(prediction.logits));
  return line + "}\n";
}

std::string csv_line(const std::string& input, const Prediction& prediction, const AnswerStyle& style) {
  std::string line = csv_field(input);
  for (const std::size_t index : best_classes(prediction, style.top)) {
    line +=
        fmt::format(",{},{},{}", csv_field(class_name(index, style)), index, prediction.probabilities[index]);
  }
  if (style.logits) {
    for (const float value : prediction.logits) line += fmt::format(",{}", value);
  }
  return line + '\n';
}

std::size_t class_width(const AnswerStyle& style) {
  std::size_t width = std::max<std::size_t>(5, std::to_string(style.class_count).size());
  for (const std::string& name : style.classes) width = std::max(width, text_width(name));
  return width;
}

std::string padded(const std::string& text, std::size_t width) {
  return text + std::string(width - std::min(width, text_width(text)), ' ');
}

std::string table_lines(const std::string& input, const Prediction& prediction, const AnswerStyle& style) {
  std::string lines;
  for (const std::size_t index : best_classes(prediction, style.top)) {
    lines += fmt::format("{}  {}  {:>9.2f} %", padded(lines.empty() ? input : "", style.input_width),
                         padded(class_name(index, style), class_width(style)),
                         100 * prediction.probabilities[index]);
    if (style.logits) lines += fmt::format("  {:>10.5f}", prediction.logits[index]);
    lines += '\n';
  }
  return lines;
}

}  // namespace

std::string answer_header(const AnswerStyle& style) {
  if (style.format == AnswerFormat::json) return "";
  if (style.format == AnswerFormat::table) {
    return fmt::format("{}  {}  probability{}\n", padded("input", style.input_width),
                       padded("class", class_width(style)), style.logits ? "       logit" : "");
  }
  std::string line = "input,class,index,probability";
  for (std::size_t rank = 2; rank <= style.top; ++rank) {
    line += fmt::format(",class_{0},index_{0},probability_{0}", rank);
  }
  for (std::size_t i = 0; style.logits && i < style.class_count; ++i) line += fmt::format(",logit_{}", i);
  return line + '\n';
}

std::string answer_text(const std::string& input, const Prediction& prediction, const AnswerStyle& style) {
  switch (style.format) {
    case AnswerFormat::table:
      return table_lines(input, prediction, style);
    case AnswerFormat::csv:
      return csv_line(input, prediction, style);
    case AnswerFormat::json:
      break;
  }
  return json_line(input, prediction, style);
}

}  // namespace descent::cli
