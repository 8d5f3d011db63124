// Reports of runs and comparisons: what stands in them, and how large they may become.
#include "report/run_report.h"
#include "program.h"
#include "report/compare_report.h"
#include "report/report_writer.h"
#include "report/sections.h"
#include "small_fit.h"
#include "temporary_folder.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using descent::report::Chart;
using descent::report::Heatmap;
using descent::report::LabelledRun;
using descent::report::Page;
using descent::report::RunFiles;
using descent::report::Section;
using descent::report::Table;

const Section* find_section(const Page& page, const std::string& id) {
  const auto found = std::ranges::find(page.sections, id, &Section::id);
  return found == page.sections.end() ? nullptr : &*found;
}

template <class Item>
std::vector<const Item*> items_of(const Section& section) {
  std::vector<const Item*> items;
  for (const auto& item : section.items) {
    if (const auto* one = std::get_if<Item>(&item)) items.push_back(one);
  }
  return items;
}

// Values that look random and need all their digits.
double noise(std::size_t k) {
  return std::fmod(std::sin(static_cast<double>(k)) * 43758.5453, 1.0);
}

// As a run that watches every step leaves it: `layers` with outputs, one more with gradients alone.
RunFiles made_up_run(std::size_t epochs, std::size_t steps_per_epoch, std::size_t layers,
                     std::size_t parameters) {
  RunFiles run;
  run.name = "made-up";
  run.info.state = "done";
  run.info.optimizer = "adam";
  const std::size_t steps = epochs * steps_per_epoch;
  for (std::size_t step = 0; step < steps; ++step) {
    const auto at = static_cast<double>(step);
    run.steps.step.push_back(at);
    run.steps.rate.push_back(0.006 * (1 + noise(step)));
    run.steps.loss.push_back(2 + noise(step + 1));
    run.steps.accuracy.push_back(0.5 + 0.4 * noise(step + 2));
    run.steps.momentum.push_back(0.9 + 0.05 * noise(step + 3));
    run.gradient_norm.x.push_back(at);
    run.gradient_norm.y.push_back(1 + noise(step + 4));
  }
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    const auto at = static_cast<double>(epoch);
    run.epochs.push_back({at, static_cast<double>((epoch + 1) * steps_per_epoch) - 1, 0.006, 1 / (at + 1), 0.8,
                          0.5, 0.85, 0.6, 0.02});
  }
  for (std::size_t layer = 0; layer <= layers; ++layer) {
    auto& curves = run.layers.emplace_back();
    curves.name = std::to_string(layer) + ".2";
    for (std::size_t step = 0; step < steps; ++step) {
      curves.step.push_back(static_cast<double>(step));
      curves.output_mean.push_back(layer == layers ? descent::report::missing : noise(step + layer));
      curves.output_std.push_back(layer == layers ? descent::report::missing : 1 + noise(step + layer));
      curves.gradient_mean.push_back(1e-7 * noise(step + layer));
      curves.gradient_std.push_back(1e-4 * (1.1 + noise(step + layer)));
    }
    if (layer == layers) continue;
    auto& histograms = run.histograms.emplace_back();
    histograms.name = curves.name;
    histograms.step = curves.step;
    for (std::size_t k = 0; k < steps * descent::report::histogram_bins; ++k) {
      histograms.counts.push_back(std::floor(1e6 * (1 + noise(k))));
    }
  }
  for (std::size_t parameter = 0; parameter < parameters; ++parameter) {
    auto& curves = run.parameters.emplace_back();
    curves.name = std::to_string(parameter) + (parameter % 2 == 0 ? ".weight" : ".bias");
    curves.step = run.steps.step;
    for (std::size_t step = 0; step < steps; ++step) {
      curves.mean.push_back(1e-3 * noise(step + parameter));
      curves.std.push_back(0.1 + 0.05 * noise(step + parameter));
      curves.update_ratio.push_back(1e-3 * (1.1 + noise(step + parameter)));
    }
  }
  return run;
}

constexpr std::size_t three_megabytes = 3'000'000;

LabelledRun compared(const std::string& label, const std::string& config) {
  LabelledRun one{label, made_up_run(2, 5, 2, 2)};
  one.run.config = config;
  return one;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run_report)

BOOST_AUTO_TEST_CASE(fifty_epochs_watched_at_every_step_stay_below_three_megabytes) {
  BOOST_TEST(page_text(run_page(made_up_run(50, 59, 4, 18))).size() < three_megabytes);   // convnet
  BOOST_TEST(page_text(run_page(made_up_run(50, 59, 17, 62))).size() < three_megabytes);  // resnet18
}

BOOST_AUTO_TEST_CASE(says_where_points_were_thinned) {
  const Page page = run_page(made_up_run(50, 59, 4, 18));
  for (const std::string id : {"curves", "activations", "gradients", "parameters"}) {
    const Section* section = find_section(page, id);
    BOOST_REQUIRE(section != nullptr);
    BOOST_TEST(items_of<Chart>(*section).front()->note.find("Thinned") != std::string::npos, id);
  }
  for (const Heatmap* map : items_of<Heatmap>(*find_section(page, "activations"))) {
    BOOST_TEST(map->columns <= 600U);
    BOOST_TEST(map->values.size() == map->columns * map->rows);
    BOOST_TEST(map->note == "Thinned: each column is the mean of 5 recorded batches.");
  }
  const Page small = run_page(made_up_run(2, 59, 4, 18));
  BOOST_TEST(page_text(small).find("Thinned") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(validation_stands_at_the_end_of_its_epoch) {
  const Page page = run_page(made_up_run(2, 59, 1, 0));
  const Chart* loss = items_of<Chart>(*find_section(page, "curves")).front();
  BOOST_REQUIRE(loss->series.back().label == "validation");
  const std::vector<double> ends{59, 118};
  BOOST_TEST(loss->series.back().x == ends, boost::test_tools::per_element());
  BOOST_REQUIRE(loss->marks.size() == 2U);
  BOOST_TEST(loss->marks[0].x == 59);
  BOOST_TEST(loss->series.front().x.front() == 1);  // one batch trained
}

BOOST_AUTO_TEST_CASE(the_dead_chart_is_the_share_of_the_lowest_bin) {
  RunFiles run = made_up_run(1, 2, 1, 0);
  auto& counts = run.histograms.front().counts;
  std::ranges::fill(counts, 0);
  counts[0] = 3;  // of the first batch: 3 of 7
  counts[1] = 2;
  counts[39] = 2;  // of the second: nothing was counted
  const Page page = run_page(run);
  const Chart* dead = items_of<Chart>(*find_section(page, "activations")).back();
  BOOST_TEST(dead->series.front().y[0] == 3.0 / 7);
  BOOST_TEST(dead->series.front().y[1] == 0);
  BOOST_TEST(*dead->y_min == 0);
  BOOST_TEST(*dead->y_max == 1);
}

BOOST_AUTO_TEST_CASE(the_last_layers_gradient_is_off_at_first_among_the_means) {
  const Page page = run_page(made_up_run(1, 59, 4, 0));
  const auto charts = items_of<Chart>(*find_section(page, "gradients"));
  BOOST_REQUIRE(charts.size() == 3U);
  const auto& means = charts[0]->series;
  BOOST_REQUIRE(means.size() == 5U);
  for (std::size_t k = 0; k < 4; ++k) BOOST_TEST(!means[k].hidden);
  BOOST_TEST(means[4].hidden);
  BOOST_TEST(charts[0]->note.find("Layer 4.2") != std::string::npos);
  BOOST_TEST(std::ranges::none_of(charts[1]->series, &descent::report::Series::hidden));
  BOOST_TEST(charts[1]->log_y);
}

BOOST_AUTO_TEST_CASE(leaves_out_what_was_not_recorded) {
  RunFiles run;
  run.name = "little";
  run.steps = made_up_run(1, 3, 0, 0).steps;
  const Page page = run_page(run);
  BOOST_TEST(find_section(page, "curves") != nullptr);
  for (const std::string id :
       {"activations", "gradients", "parameters", "finder", "classes", "pictures", "network", "time"}) {
    BOOST_TEST(find_section(page, id) == nullptr, id);
  }
}

BOOST_AUTO_TEST_CASE(time_is_shared_out_by_operation_and_direction) {
  RunFiles run;
  run.operations = {{"", "load pictures", "", "", 0.001, 0, 0},
                    {"0.0", "conv forward", "jit", "nchw", 0.002, 4e6, 8e6},
                    {"0.0", "conv backward", "jit", "nchw", 0.004, 8e6, 0},
                    {"0.0", "conv backward data", "jit", "nchw", 0.001, 0, 0},
                    {"", "update", "adam", "", 0.002, 0, 0}};
  const Section section = descent::report::time_section(run);
  const auto* bars = items_of<descent::report::Bars>(section).front();
  BOOST_REQUIRE(bars->labels.size() == 3U);
  BOOST_TEST(bars->labels.front() == "0.0 conv");
  BOOST_REQUIRE(bars->groups.size() == 4U);
  BOOST_TEST(bars->groups[0].label == "forward");
  BOOST_TEST(bars->groups[0].values[0] == 2);
  BOOST_TEST(bars->groups[1].values[0] == 5);
  const auto tables = items_of<Table>(section);
  const std::vector<std::string> backward{"backward", "5", "50.0\u00A0%"};
  BOOST_TEST(tables[0]->rows[1] == backward, boost::test_tools::per_element());
  BOOST_TEST(tables[1]->rows[1][4] == "2");  // GFLOP/s
  BOOST_TEST(tables[1]->rows[1][5] == "4");  // GB/s
}

BOOST_AUTO_TEST_CASE(pictures_too_large_for_the_page_are_named_instead) {
  RunFiles run;
  run.batch = {{7, "cat"}};
  run.batch_png.assign(1'000'000, 'x');
  const Section section = descent::report::pictures_section(run);
  BOOST_TEST(section.items.empty());
  BOOST_TEST(section.text.find("batch.png") != std::string::npos);
  run.batch_png.resize(100);
  BOOST_TEST(descent::report::pictures_section(run).items.size() == 1U);
}

BOOST_AUTO_TEST_CASE(the_worst_pictures_are_named_by_their_files_where_they_have_some) {
  RunFiles run;
  run.worst = {{7, "cat", "dog", 0.75, 2.5, "valid/cat/tom.png"}, {9, "dog", "cat", 0.5, 1, ""}};
  run.worst_png.resize(100);
  const Section section = descent::report::pictures_section(run);
  const auto pictures = items_of<descent::report::Pictures>(section);
  BOOST_REQUIRE(pictures.size() == 1U);
  BOOST_TEST(pictures.front()->captions.at(0).ends_with("\ntom.png"));
  BOOST_TEST(pictures.front()->captions.at(1).ends_with("\nno. 9"));
}

BOOST_AUTO_TEST_CASE(many_classes_are_shown_as_a_picture) {
  RunFiles run;
  for (int k = 0; k < 100; ++k) {
    run.confusion.classes.push_back(std::to_string(k));
    run.confusion.counts.emplace_back(100, 0.0);
  }
  run.confusion.counts[0][99] = 5;  // the first class, at the top; said to be the last, at the right
  const Section section = descent::report::classes_section(run);
  const auto maps = items_of<Heatmap>(section);
  BOOST_REQUIRE(maps.size() == 1U);
  BOOST_TEST(maps.front()->values[99 * 100 + 99] == 5);
}

BOOST_AUTO_TEST_CASE(numbers_are_grouped_for_people) {
  BOOST_TEST(descent::report::whole_text(1234567) == "1\u00A0234\u00A0567");
  BOOST_TEST(descent::report::whole_text(100) == "100");
  BOOST_TEST(descent::report::whole_text(-1000) == "-1\u00A0000");
  BOOST_TEST(descent::report::whole_text(descent::report::missing) == "–");
  BOOST_TEST(descent::report::moment_text("2026-11-22T19:00:00Z") == "2026-11-22 19:00:00 UTC");
}

BOOST_AUTO_TEST_CASE(labels_tell_folders_of_the_same_name_apart) {
  const std::vector<fs::path> folders{"one/adam", "two/adam/", "sgd", "sgd/", "./x/../sgd"};
  const std::vector<std::string> labels = descent::report::unique_labels(folders);
  const std::vector<std::string> expected{"one/adam", "two/adam", "sgd", "sgd (2)", "sgd (3)"};
  BOOST_TEST(labels == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_comparison_lists_the_settings_that_differ) {
  const std::vector<LabelledRun> runs{
      compared("a", "optimizer = \"sgd\"\nlr = 0.4\nepochs = 2\n"),
      compared("b", "optimizer = \"adam\"\nlr = 0.006\nepochs = 2\nbeta2 = 0.99\n"),
      compared("c", "this is not TOML")};
  const Table both = descent::report::differences_table(std::span(runs).first(2));
  const std::vector<std::vector<std::string>> expected{
      {"optimizer", "sgd", "adam"}, {"lr", "0.4", "0.006"}, {"beta2", "–", "0.99"}};
  BOOST_TEST((both.rows == expected));
  BOOST_TEST(descent::report::differences_table(runs).rows.size() == 4U);
  const Table results = descent::report::results_table(runs);
  BOOST_TEST(results.rows[0][2] == "0.4");
  BOOST_TEST(results.rows[0][4] == "0.8500");
  BOOST_TEST(results.rows[2][1] == "adam");  // from run.json where the configuration says nothing
}

BOOST_AUTO_TEST_CASE(a_comparison_lays_curves_over_one_another_in_one_colour_a_run) {
  std::vector<LabelledRun> runs{compared("a", ""), compared("b", "")};
  runs[1].run.layers.erase(runs[1].run.layers.begin());  // 0.2 was watched by one run alone
  const Page page = compare_page(runs);
  const auto curves = items_of<Chart>(*find_section(page, "curves"));
  BOOST_TEST(curves.size() == 7U);
  for (const Chart* chart : curves) {
    BOOST_REQUIRE(chart->series.size() == 2U);
    BOOST_TEST(chart->series[0].label == "a");
    BOOST_TEST(*chart->series[1].color == 1);
  }
  const auto gradients = items_of<Chart>(*find_section(page, "gradients"));
  BOOST_REQUIRE(gradients.size() == 5U);  // the norm; means and deviations of 1.2 and 2.2
  BOOST_TEST(gradients[1]->title == "Layer 1.2: mean of the gradient");
}

BOOST_AUTO_TEST_CASE(the_verbs_write_their_files_and_say_where) {
  const TemporaryFolder folder;
  for (const std::string name : {"a", "b"}) {
    fs::create_directories(folder / name);
    write_text(folder / (name + "/steps.csv"), "step,lr,train_loss,momentum\n0,0.1,2.5,\n1,0.1,2.25,\n2,0.");
    write_text(folder / (name + "/config.toml"), "lr = 0.1\n");
  }
  const std::string run = (folder / "a").string();
  const ProgramResult made = run_program({"report", run});
  BOOST_TEST(made.code == 0);
  BOOST_TEST(made.out == run + "/report.html\n");
  BOOST_TEST(read_text(folder / "a/report.html").find("[2.5,2.25]") != std::string::npos);
  const std::string out = (folder / "beside.html").string();
  BOOST_TEST(run_program({"report", run, "--out", out}).code == 0);
  BOOST_TEST(fs::exists(out));
  const std::string page = (folder / "both.html").string();
  const ProgramResult compared = run_program({"compare", run, (folder / "b").string(), "--out", page});
  BOOST_TEST(compared.code == 0);
  BOOST_TEST(compared.out.find("best valid accuracy") != std::string::npos);
  BOOST_TEST(compared.out.find(page) != std::string::npos);
  BOOST_TEST(fs::exists(page));
  BOOST_TEST(run_program({"report", (folder / "nowhere").string()}).code == 2);
  BOOST_TEST(run_program({"compare"}).code == 2);
}

BOOST_AUTO_TEST_CASE(a_comparison_leaves_out_folders_of_searches_and_says_so) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "run");
  write_text(folder / "run/steps.csv", "step,lr,train_loss,momentum\n0,0.1,2.5,\n");
  fs::create_directories(folder / "lr-find");
  write_text(folder / "lr-find/lr_find.csv", "step,lr,loss\n0,1e-05,2.3\n1,1.3e-05,2.2\n");
  const std::string search = (folder / "lr-find").string();
  const std::string page = (folder / "page.html").string();
  const ProgramResult both = run_program({"compare", search, (folder / "run").string(), "--out", page});
  BOOST_TEST(both.code == 0, both.err);
  BOOST_TEST(both.err.find("'" + search + "' is left out") != std::string::npos, both.err);
  BOOST_TEST(both.out.find("lr-find") == std::string::npos, both.out);
  fs::remove(page);
  fs::create_directories(folder / "killed");  // while its kernels were timed
  write_text(folder / "killed/steps.csv", "step,lr,train_loss,momentum\n");
  const ProgramResult again =
      run_program({"compare", (folder / "killed").string(), (folder / "run").string(), "--out", page});
  BOOST_TEST(again.code == 0, again.err);
  BOOST_TEST(again.err.find("killed' is left out") != std::string::npos, again.err);
  fs::remove(page);
  const ProgramResult none = run_program({"compare", search, "--out", page});
  BOOST_TEST(none.code == 2, none.err);
  BOOST_TEST(none.err.find("none of the folders holds a run") != std::string::npos, none.err);
  BOOST_TEST(!fs::exists(page));
}

BOOST_AUTO_TEST_CASE(a_report_that_cannot_be_written_does_not_end_the_run) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "run" / "report.html" / "in the way");
  write_text(folder / "run" / "config.toml", "lr = 0.1\n");
  std::vector<std::string> warnings;
  descent::ReportWriter writer(folder / "run",
                               [&](const std::string& warning) { warnings.push_back(warning); });
  descent::test::SmallFit small;
  small.settings.epochs = 3;
  BOOST_TEST(small.run(descent::test::half_data(4, 2), {&writer}).size() == 3U);
  BOOST_REQUIRE(warnings.size() == 1U);
  BOOST_TEST(warnings.front().find("report.html") != std::string::npos, warnings.front());
}

BOOST_AUTO_TEST_SUITE_END()
