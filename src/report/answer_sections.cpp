// What the network said in the last validation, and what it was shown in training.
#include "report/class_metrics.h"
#include "report/sections.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <utility>

namespace descent::report {

namespace {

constexpr std::size_t most_classes_in_table = 25;

Table confusion_table(const Confusion& confusion) {
  Table table{
      .title = "Confusion matrix",
      .note = "A row is a true class, a column what the network said. Darker: a larger share of the row.",
      .header = {"true class"},
      .numeric = {false},
      .wide = true};
  for (const std::string& name : confusion.classes) {
    table.header.push_back(name);
    table.numeric.push_back(true);
  }
  for (std::size_t label = 0; label < confusion.classes.size(); ++label) {
    const std::vector<double>& counts = confusion.counts[label];
    const double support = std::accumulate(counts.begin(), counts.end(), 0.0);
    std::vector<std::string>& row = table.rows.emplace_back(1, confusion.classes[label]);
    std::vector<double>& shades = table.shades.emplace_back(1, missing);
    for (const double count : counts) {
      row.push_back(whole_text(count));
      shades.push_back(support > 0 ? std::sqrt(count / support) : 0);
    }
  }
  return table;
}

// For many classes: a picture, with the first class at the top as in a table.
Heatmap confusion_map(const Confusion& confusion) {
  const std::size_t classes = confusion.classes.size();
  Heatmap map{
      .title = "Confusion matrix",
      .note =
          "Classes by number, as they stand in the table of classes. From below: the last class to the first.",
      .rows = classes,
      .columns = classes,
      .log_color = true,
      .x_label = "said",
      .x_last = static_cast<double>(classes) - 1,
      .y_label = "true class",
      .y_low = static_cast<double>(classes),
      .y_high = 0,
      .value_label = "pictures",
      .wide = true};
  for (std::size_t said = 0; said < classes; ++said) {
    for (std::size_t row = 0; row < classes; ++row)
      map.values.push_back(confusion.counts[classes - 1 - row][said]);
  }
  return map;
}

double mean_of(const std::vector<ClassMetrics>& metrics, double ClassMetrics::*value) {
  double sum = 0;
  double count = 0;
  for (const ClassMetrics& one : metrics) {
    if (std::isnan(one.*value)) continue;
    sum += one.*value;
    ++count;
  }
  return count > 0 ? sum / count : missing;
}

Table class_table(const Confusion& confusion) {
  const std::vector<ClassMetrics> metrics = class_metrics(confusion);
  Table table{
      .title = "Classes",
      .note =
          "Precision: of the pictures said to be of a class, the share that is. Recall: of its pictures, the "
          "share that was found. F1: 2·precision·recall / (precision + recall).",
      .header = {"class", "precision", "recall", "F1", "pictures"},
      .numeric = {false, true, true, true, true}};
  for (const ClassMetrics& one : metrics) {
    table.rows.push_back({one.name, fixed_text(one.precision, 4), fixed_text(one.recall, 4),
                          fixed_text(one.f1, 4), whole_text(one.support)});
  }
  double pictures = 0;
  for (const ClassMetrics& one : metrics) pictures += one.support;
  table.rows.push_back({"mean of classes", fixed_text(mean_of(metrics, &ClassMetrics::precision), 4),
                        fixed_text(mean_of(metrics, &ClassMetrics::recall), 4),
                        fixed_text(mean_of(metrics, &ClassMetrics::f1), 4), whole_text(pictures)});
  return table;
}

Table mistake_table(const Confusion& confusion) {
  constexpr std::size_t most = 10;
  Table table{.title = "Most frequent mistakes",
              .header = {"true class", "said", "pictures", "share of the class"},
              .numeric = {false, false, true, true}};
  for (const Mistake& mistake : frequent_mistakes(confusion, most)) {
    table.rows.push_back({mistake.label, mistake.said, whole_text(mistake.count), percent_text(mistake.share)});
  }
  return table;
}

// A sprite's rows; pictures that would make the page heavy are left in their file.
void add_pictures(Section& section, Pictures pictures, std::size_t columns, const std::string& file) {
  constexpr std::size_t largest = 900'000;
  if (pictures.png.empty() || pictures.captions.empty()) return;
  if (pictures.png.size() > largest) {
    section.text += fmt::format(
        "{}The pictures of “{}” lie in {} beside this report: with {:.1f} MB they are too large for it.",
        section.text.empty() ? "" : " ", pictures.title, file, static_cast<double>(pictures.png.size()) / 1e6);
    return;
  }
  pictures.columns = std::min(columns, pictures.captions.size());
  pictures.rows = (pictures.captions.size() + columns - 1) / columns;
  section.items.emplace_back(std::move(pictures));
}

}  // namespace

Section classes_section(const RunFiles& run) {
  Section section{.id = "classes", .title = "Classes", .text = "From the last validation."};
  if (run.confusion.classes.empty()) return section;
  if (run.confusion.classes.size() <= most_classes_in_table) {
    section.items.emplace_back(confusion_table(run.confusion));
  } else {
    section.items.emplace_back(confusion_map(run.confusion));
  }
  section.items.emplace_back(class_table(run.confusion));
  Table mistakes = mistake_table(run.confusion);
  if (!mistakes.rows.empty()) section.items.emplace_back(std::move(mistakes));
  return section;
}

Section pictures_section(const RunFiles& run) {
  constexpr std::size_t worst_columns = 6;
  constexpr std::size_t batch_columns = 8;
  Section section{.id = "pictures", .title = "Pictures"};
  Pictures worst{
      .title = "Worst predicted",
      .note =
          "Validation pictures of the highest loss, worst first: their class, what was said and how surely.",
      .png = run.worst_png};
  for (const WorstPicture& picture : run.worst) {
    const std::string which = picture.file.empty() ? fmt::format("no. {}", picture.index)
                                                   : std::filesystem::path(picture.file).filename().string();
    worst.captions.push_back(fmt::format("{}\nsaid {}\n{}, loss {}\n{}", picture.label, picture.said,
                                         percent_text(picture.probability), number_text(picture.loss, 3),
                                         which));
  }
  add_pictures(section, std::move(worst), worst_columns, "worst.png");
  Pictures batch{
      .title = "First training batch, as the network saw it",
      .note = "Its first pictures, normalised; the batch's lowest value is black, its highest white.",
      .png = run.batch_png};
  for (const BatchPicture& picture : run.batch) batch.captions.push_back(picture.label);
  add_pictures(section, std::move(batch), batch_columns, "batch.png");
  return section;
}

}  // namespace descent::report
