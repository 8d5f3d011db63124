// How predictions are printed: a table for people, CSV or JSON Lines for programs.
#pragma once

#include "descent/predictor.h"

#include <cstdint>
#include <string>
#include <vector>

namespace descent::cli {

enum class AnswerFormat : std::uint8_t { table, csv, json };

struct AnswerStyle {
  AnswerFormat format = AnswerFormat::table;
  std::size_t top = 1;  // classes named a picture
  bool logits = false;
  std::vector<std::string> classes;  // names; empty: indices
  std::size_t class_count = 0;
  std::size_t input_width = 0;  // of the widest picture name: tables are printed batch by batch
};

[[nodiscard]] std::string answer_header(const AnswerStyle& style);  // empty for JSON
[[nodiscard]] std::string answer_text(const std::string& input, const Prediction& prediction,
                                      const AnswerStyle& style);

}  // namespace descent::cli
