// descent bench, as scripts see it.
#include "screen.h"
#include "workplace.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using descent::test::Ending;
using descent::test::holds;
using descent::test::pseudo_terminals_exist;
using descent::test::TerminalRun;
using descent::test::Workplace;
using nlohmann::json;

namespace {

// The rows of the operations' table.
std::vector<std::string> operations_of(const std::string& output) {
  std::vector<std::string> rows;
  std::istringstream lines(output.substr(std::min(output.find("layer "), output.size())));
  for (std::string line; std::getline(lines, line) && line.size() > 1;) rows.push_back(line);
  return rows;
}

// Characters, not bytes; a terminal's lines end in a carriage return.
std::size_t width_of(const std::string& line) {
  return static_cast<std::size_t>(std::ranges::count_if(
      line, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U && byte != '\r'; }));
}

const std::string small = "bench --model tiny.toml --batch 4 --threads 1 --runs 3 ";

json bench(const Workplace& place, const std::string& arguments) {
  const Ending outcome = place.run(small + "--json - " + arguments);
  BOOST_TEST(outcome.code == 0, outcome.errors);
  return json::parse(outcome.output);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_bench)

BOOST_AUTO_TEST_CASE(a_training_step_is_reported_whole_in_parts_and_by_operation) {
  const Workplace place;
  const json all = bench(place, "--mode train --optimizer momentum");
  BOOST_TEST(all["format"] == "descent bench 1");
  BOOST_TEST(all["mode"] == "train");
  BOOST_TEST(all["model"] == "tiny");
  BOOST_TEST(all["optimizer"] == "momentum");
  BOOST_TEST(all["input"] == "1×6×6");
  BOOST_TEST(all["batch"] == 4);
  BOOST_TEST(all["threads"] == 1);
  BOOST_TEST(all["runs"] == 3);
  const auto least = all["seconds_min"].get<double>();
  const auto median = all["seconds_median"].get<double>();
  BOOST_TEST(least > 0);
  BOOST_TEST(least <= median);
  BOOST_TEST(median <= all["seconds_max"].get<double>());
  BOOST_TEST(std::abs(all["images_per_second"].get<double>() * median - 4) < 1e-6);
  double parts = 0;
  for (const json& part : all["parts"]) parts += part["seconds_min"].get<double>();
  BOOST_TEST(all["parts"].size() == 5U);
  BOOST_TEST(parts <= least * 1.000001);
  double seconds = 0;
  double flops = 0;
  double bound = 0;
  for (const json& one : all["operations"]) {
    seconds += one["seconds"].get<double>();
    flops += one["flops"].get<double>();
    bound += one["share"].get<double>() * one["seconds"].get<double>();
    BOOST_TEST(one["share"].get<double>() >= 0);
    BOOST_TEST(!one["implementation"].get<std::string>().empty());
  }
  BOOST_TEST(std::abs(all["operations_seconds"].get<double>() - seconds) < 1e-9);
  BOOST_TEST(std::abs(all["operations_flops"].get<double>() - flops) < 1e-3);
  BOOST_TEST(std::abs(all["share"].get<double>() * seconds - bound) < 1e-9);
  BOOST_TEST(all["share"].get<double>() > 0);
  BOOST_TEST(all["peaks"]["f32_flops"].get<double>() > 1e8);
  BOOST_REQUIRE(all["peaks"]["copies"].size() >= 2U);
  for (const json& copy : all["peaks"]["copies"]) BOOST_TEST(copy["bytes_per_second"].get<double>() > 1e7);
  BOOST_TEST(all["peak_resident_bytes"].get<double>() > 1e6);
}

// In bf16 some operations stay in f32, whose arithmetic is slower.
BOOST_AUTO_TEST_CASE(an_operations_share_is_of_the_arithmetic_of_its_own_type) {
  const Workplace place;
  const json all = bench(place, "--mode train --precision bf16");
  const json& peaks = all["peaks"];
  const auto bf16_flops = peaks["bf16_flops"].get<double>();
  const auto f32_flops = peaks["f32_flops"].get<double>();
  for (const json& one : all["operations"]) {
    const bool short_numbers = one["precision"] == "bf16" && bf16_flops > 0;
    BOOST_TEST((one["precision"] == "bf16" || one["precision"] == "f32"));
    const auto bytes = one["bytes"].get<double>();
    double bandwidth = peaks["copies"].back()["bytes_per_second"];
    for (auto copy = peaks["copies"].rbegin(); copy != peaks["copies"].rend(); ++copy) {
      if (bytes <= (*copy)["bytes"].get<double>()) bandwidth = (*copy)["bytes_per_second"];
    }
    const double arithmetic = one["flops"].get<double>() / (short_numbers ? bf16_flops : f32_flops);
    const double least = std::max(arithmetic, bytes / bandwidth);
    BOOST_TEST(one["share"].get<double>() * one["seconds"].get<double>() == least,
               boost::test_tools::tolerance(1e-9));
  }
}

BOOST_AUTO_TEST_CASE(an_answer_takes_a_copy_in_a_forward_pass_and_a_copy_out) {
  const Workplace place;
  const json all = bench(place, "--mode infer --no-peaks --size 8x7 --classes 3");
  BOOST_TEST(all["input"] == "1×8×7");
  BOOST_TEST(all["classes"] == 3);
  BOOST_TEST(all["peaks"].is_null());
  BOOST_TEST(all["share"] == 0.0);
  BOOST_TEST(!all.contains("optimizer"));
  std::vector<std::string> parts;
  for (const json& part : all["parts"]) parts.push_back(part["part"]);
  BOOST_TEST((parts == std::vector<std::string>{"write", "forward", "read"}));
  for (const json& one : all["operations"]) BOOST_TEST(!holds(one["operation"], "backward"));
}

BOOST_AUTO_TEST_CASE(the_librarys_kernels_or_our_own_can_be_forced) {
  const Workplace place;
  const auto convolutions = [&](const std::string& kernels, const std::string& mode) {
    std::vector<std::string> found;
    const Ending outcome =
        place.run("bench --model resnet --batch 16 --threads 1 --runs 1 --no-peaks --json - --mode " + mode +
                  " --kernels " + kernels);
    BOOST_TEST(outcome.code == 0, outcome.errors);
    const json all = json::parse(outcome.output);
    BOOST_TEST(all["kernels"] == (kernels == "onednn" ? "library" : kernels));
    for (const json& one : all["operations"]) {
      if (holds(one["operation"], "conv")) found.push_back(one["implementation"]);
    }
    return found;
  };
  const auto of_the_library = [](const std::string& all) {
    return holds(all, "jit") || holds(all, "brg") || holds(all, "gemm");
  };
  for (const std::string mode : {"train", "infer"}) {
    const std::vector<std::string> own = convolutions("own", mode);
    BOOST_TEST(own.size() > 10U);
    BOOST_TEST(std::ranges::none_of(own, of_the_library), mode);
    const std::vector<std::string> library = convolutions("onednn", mode);
    BOOST_TEST(library.size() > 10U);
    BOOST_TEST(std::ranges::all_of(library, of_the_library), mode);
  }
}

BOOST_AUTO_TEST_CASE(the_optimizers_pass_is_measured_alone) {
  const Workplace place;
  const json all = bench(place, "--mode update --parameters 1e4 --optimizer adam");
  BOOST_TEST(all["parameters"] == 10000);
  BOOST_TEST(all["bytes"] == 280000.0);
  BOOST_TEST(std::abs(all["bytes_per_second"].get<double>() * all["seconds_min"].get<double>() - 280000) <
             1e-3);
  BOOST_TEST(all["share"].get<double>() > 0);
}

BOOST_AUTO_TEST_CASE(people_get_a_table_and_programs_a_file) {
  const Workplace place;
  const Ending outcome = place.run(small + "--data halves --json bench.json");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  for (const auto* part : {"train of tiny", "images/s", "conv forward", "of peak", "conv backward", "update"}) {
    BOOST_TEST(holds(outcome.output, part), outcome.output << " lacks " << part);
  }
  BOOST_TEST(json::parse(read_text(place / "bench.json"))["data"] == "halves");
}

BOOST_AUTO_TEST_CASE(on_a_terminal_the_table_fits_and_elsewhere_it_is_whole,
                     *boost::unit_test::precondition(pseudo_terminals_exist)) {
  constexpr unsigned short columns = 80;
  const Workplace place;
  const std::string bench = small + "--no-peaks --json whole.json";
  TerminalRun run(
      "cd '" + (place / "").string() + "' && TERM=xterm XDG_CACHE_HOME=cache '" DESCENT_PROGRAM "' " + bench,
      columns);
  run.follow();
  BOOST_TEST(run.exit_code() == 0);
  const std::vector<std::string> rows = operations_of(run.output);
  BOOST_TEST(rows.size() >= 8U);
  for (const std::string& row : rows) BOOST_TEST(width_of(row) <= columns, row);
  BOOST_TEST(std::ranges::any_of(rows, [](const std::string& row) { return holds(row, "…"); }), run.output);

  const Ending piped = place.run(bench);
  BOOST_TEST(!holds(piped.output, "…"), piped.output);
  const json all = json::parse(read_text(place / "whole.json"));
  for (const json& one : all["operations"]) {
    const auto whole = one["implementation"].get<std::string>();
    BOOST_TEST(holds(piped.output, "  " + whole + "  "), piped.output << " lacks " << whole);
  }
}

BOOST_AUTO_TEST_CASE(a_page_shows_the_operations_under_the_machines_roofs) {
  const Workplace place;
  const Ending outcome = place.run(small + "--page step.html");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  const std::string page = read_text(place / "step.html");
  for (const auto* part : {"A step of tiny", "Roofline", "roof in cache", "roof in memory", "conv backward"}) {
    BOOST_TEST(holds(page, part), part);
  }
}

BOOST_AUTO_TEST_CASE(wrong_options_get_one_sentence) {
  const Workplace place;
  for (const auto& [arguments, part] : std::vector<std::pair<std::string, std::string>>{
           {"--mode fly", "'fly'"},
           {"--model no-such-net", "no-such-net"},
           {"--size 3x", "--size takes a whole number"},
           {"--size 0", "--size must be a whole number from 1"},
           {"--batch 0", "--batch must be"},
           {"--runs none", "--runs takes a whole number"},
           {"--mode update --parameters 0.5", "--parameters must be a whole number"},
           {"--kernels mkl", "'mkl'"},
           {"--optimizer adm", "did you mean 'adam'"},
           {"--data nowhere", "nowhere"},
           {"--page ''", "--page needs a file"},
           {"--no-peaks --page step.html", "does not go with --no-peaks"},
           {"--json ''", "--json needs a file"},
           {"--model tiny.toml --data halves --batch 21", "a batch of 21 is more than the 20 pictures"},
           {"--model resnet18 --size 40000", "--size must be"}}) {
    const Ending outcome = place.run("bench " + arguments);
    BOOST_TEST(outcome.code == 2, arguments << " ended with " << outcome.code);
    BOOST_TEST(holds(outcome.errors, part), outcome.errors << " lacks " << part);
    BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1, outcome.errors);
    BOOST_TEST(outcome.output.empty(), outcome.output);
  }
}

BOOST_AUTO_TEST_SUITE_END()
