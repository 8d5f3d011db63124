// descent predict, eval, inspect and list, run as programs.
#include "descent/data.h"
#include "descent/predictor.h"
#include "program.h"
#include "reference/device.h"
#include "sample_files.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

using namespace descent;
namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

const std::vector<std::string> class_names{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                           "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

Model make_model(std::vector<std::string> classes = class_names) {
  Model model{{load_network("convnet", 10), std::move(classes)}, {}};
  const ParameterLayout layout = parameter_layout(model.description.network);
  model.parameters = initialise(model.description.network, layout, Initialisation::kaiming, 11);
  for (float& bias : std::span(model.parameters.trained).last(16)) bias *= 3;  // spread the answers
  return model;
}

std::uint8_t stripes(std::int32_t y, std::int32_t x) {
  return static_cast<std::uint8_t>((y * 40 + x * 9) % 256);
}
std::uint8_t ramp(std::int32_t y, std::int32_t /*x*/) {
  return static_cast<std::uint8_t>(y * 9 % 256);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// A folder with a run, two pictures, an IDX file of both, and a file that is no picture.
struct Fixture {
  TemporaryFolder folder;
  Model model = make_model();
  std::string run = (folder / "run").string();
  std::string first = (folder / "first, \"odd\" näme.bmp").string();
  std::string second = (folder / "second.bmp").string();
  std::string broken = (folder / "broken.png").string();
  std::string idx = (folder / "two-idx3-ubyte").string();

  Fixture() {
    fs::create_directory(run);
    save_model(fs::path(run) / "model.safetensors", model);
    write_text(first, bmp_file(28, 28, stripes));
    write_text(second, bmp_file(28, 28, ramp));
    write_text(broken, "\x89PNG\r\n\x1a\nthis is no picture");
    std::string bytes;
    for (const auto& grey : {stripes, ramp}) {
      for (std::int32_t i = 0; i < 28 * 28; ++i) bytes += static_cast<char>(grey(i / 28, i % 28));
    }
    write_text(idx, idx_file({2, 28, 28}, bytes));
  }

  [[nodiscard]] Prediction expected(const std::string& file, const PictureRule& rule = {}) const {
    reference::ReferenceDevice device;
    return Predictor(device, model, 1).predict(read_picture(file), rule);
  }
};

void check_object(const Json& object, const std::string& input, const Prediction& wanted) {
  BOOST_TEST(object.at("input").get<std::string>() == input);
  BOOST_TEST(object.at("index").get<std::size_t>() == wanted.index);
  BOOST_TEST(object.at("class").get<std::string>() == wanted.label);
  BOOST_TEST(std::abs(object.at("probability").get<double>() - wanted.probabilities[wanted.index]) < 1e-4);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(cli_predict, Fixture)

BOOST_AUTO_TEST_CASE(json_is_one_object_a_picture_in_the_order_given_and_nothing_else) {
  const ProgramResult result =
      run_program({"predict", run, second, first, idx, "--format", "json", "--logits", "--batch-size", "3"});
  BOOST_TEST(result.code == 0, result.err);
  const auto lines = lines_of(result.out);
  BOOST_REQUIRE(lines.size() == 4U);
  const std::vector<std::pair<std::string, std::string>> order{
      {second, second}, {first, first}, {idx + "#0", first}, {idx + "#1", second}};
  for (std::size_t i = 0; i < 4; ++i) {
    const Json object = Json::parse(lines[i]);
    const Prediction wanted = expected(order[i].second);
    check_object(object, order[i].first, wanted);
    BOOST_REQUIRE(object.at("logits").size() == 10U);
    for (std::size_t c = 0; c < 10; ++c) {
      BOOST_TEST(std::abs(object["logits"][c].get<double>() - wanted.logits[c]) < 1e-4);
    }
    BOOST_TEST(object.size() == 5U);
  }
}

BOOST_AUTO_TEST_CASE(numbers_do_not_depend_on_the_locale_and_keep_every_digit) {
  const std::vector<std::string> command{"predict", run,        first,       "--format",
                                         "json",    "--logits", "--threads", "1"};
  const ProgramResult plain = run_program(command);
  const ProgramResult other = run_program(command, "LC_ALL=de_DE.UTF-8");
  BOOST_TEST(plain.out == other.out);
  const Json object = Json::parse(plain.out);
  std::size_t longest = 0;
  const std::string logits = plain.out.substr(plain.out.find("\"logits\""));
  std::istringstream numbers(logits.substr(logits.find('[') + 1));
  for (std::string number; std::getline(numbers, number, ',');) longest = std::max(longest, number.size());
  BOOST_TEST(longest >= 9U);
}

BOOST_AUTO_TEST_CASE(without_logits_json_has_the_four_keys) {
  const Json object = Json::parse(run_program({"predict", run, first, "--format", "json"}).out);
  BOOST_TEST(object.size() == 4U);
  check_object(object, first, expected(first));
}

BOOST_AUTO_TEST_CASE(an_undecodable_picture_is_named_and_the_others_are_answered) {
  const std::string missing = (folder / "missing.png").string();
  const ProgramResult result =
      run_program({"predict", run, first, broken, missing, second, "--format", "json"});
  BOOST_TEST(result.code == 2);
  const auto lines = lines_of(result.out);
  BOOST_REQUIRE(lines.size() == 2U);
  BOOST_TEST(Json::parse(lines[0])["input"].get<std::string>() == first);
  BOOST_TEST(Json::parse(lines[1])["input"].get<std::string>() == second);
  BOOST_TEST(contains(result.err, broken), result.err);
  BOOST_TEST(contains(result.err, missing), result.err);
  BOOST_TEST(lines_of(result.err).size() == 2U);
}

BOOST_AUTO_TEST_CASE(a_single_undecodable_picture_prints_nothing_on_standard_output) {
  const ProgramResult result = run_program({"predict", run, broken, "--format", "json"});
  BOOST_TEST(result.code == 2);
  BOOST_TEST(result.out.empty());
  BOOST_TEST(lines_of(result.err).size() == 1U);
}

BOOST_AUTO_TEST_CASE(a_folder_gives_its_pictures_by_path) {
  const fs::path pictures = folder / "pictures";
  fs::create_directories(pictures / "b");
  fs::copy_file(second, pictures / "b" / "x.bmp");
  fs::copy_file(first, pictures / "c.BMP");
  fs::copy_file(second, pictures / "a.bmp");
  write_text(pictures / "notes.txt", "not a picture");
  const ProgramResult result = run_program({"predict", run, pictures.string(), "--format", "json"});
  BOOST_TEST(result.code == 0, result.err);
  std::vector<std::string> inputs;
  for (const std::string& line : lines_of(result.out)) inputs.push_back(Json::parse(line).at("input"));
  const std::vector<std::string> wanted{(pictures / "a.bmp").string(), (pictures / "b" / "x.bmp").string(),
                                        (pictures / "c.BMP").string()};
  BOOST_TEST(inputs == wanted, boost::test_tools::per_element());

  fs::create_directory(folder / "empty");
  const ProgramResult empty = run_program({"predict", run, (folder / "empty").string()});
  BOOST_TEST(empty.code == 2);
  BOOST_TEST(contains(empty.err, "no pictures"), empty.err);
}

BOOST_AUTO_TEST_CASE(csv_has_a_header_and_quotes_what_needs_it) {
  const ProgramResult result = run_program({"predict", run, first, second, "--format", "csv", "--top", "2"});
  BOOST_TEST(result.code == 0, result.err);
  const auto lines = lines_of(result.out);
  BOOST_REQUIRE(lines.size() == 3U);
  BOOST_TEST(lines[0] == "input,class,index,probability,class_2,index_2,probability_2");
  BOOST_TEST(contains(lines[1], "first, \"\"odd\"\" n"), lines[1]);
  BOOST_TEST(lines[1].starts_with("\""));
  BOOST_TEST(lines[2].starts_with(second + "," + expected(second).label + ","), lines[2]);
}

BOOST_AUTO_TEST_CASE(top_names_the_most_probable_classes_first) {
  const Json object = Json::parse(run_program({"predict", run, first, "--format", "json", "--top", "99"}).out);
  const Prediction wanted = expected(first);
  BOOST_REQUIRE(object.at("top").size() == 10U);
  double before = 1;
  double sum = 0;
  for (const Json& one : object["top"]) {
    const double probability = one.at("probability");
    BOOST_TEST(probability <= before);
    BOOST_TEST(one.at("class").get<std::string>() == class_names.at(one.at("index").get<std::size_t>()));
    before = probability;
    sum += probability;
  }
  BOOST_TEST(std::abs(sum - 1) < 1e-5);
  BOOST_TEST(object["top"][0].at("index").get<std::size_t>() == wanted.index);
}

BOOST_AUTO_TEST_CASE(the_table_names_picture_class_and_probability) {
  const ProgramResult result = run_program({"predict", run, second});
  BOOST_TEST(result.code == 0, result.err);
  const auto lines = lines_of(result.out);
  BOOST_REQUIRE(lines.size() == 2U);
  BOOST_TEST(contains(lines[0], "probability"));
  BOOST_TEST(contains(lines[1], second));
  BOOST_TEST(contains(lines[1], expected(second).label));
}

BOOST_AUTO_TEST_CASE(invert_and_resize_change_the_input) {
  const std::string wide = (folder / "wide.bmp").string();
  write_text(wide, bmp_file(40, 80, stripes));
  const auto index_of = [&](const std::vector<std::string>& more, const std::string& file) {
    std::vector<std::string> command{"predict", run, file, "--format", "json", "--logits"};
    command.insert(command.end(), more.begin(), more.end());
    return Json::parse(run_program(command).out).at("logits").get<std::vector<float>>();
  };
  const auto check = [&](const std::vector<std::string>& more, const std::string& file,
                         const PictureRule& rule) {
    const auto got = index_of(more, file);
    const auto wanted = expected(file, rule).logits;
    for (std::size_t i = 0; i < 10; ++i) BOOST_TEST(std::abs(got[i] - wanted[i]) < 1e-4);
  };
  check({"--invert"}, first, {.invert = true});
  check({}, wide, {.resize = Resize::fit});
  check({"--resize", "squash"}, wide, {.resize = Resize::squash});
  check({"--resize", "imagenet"}, wide, {.resize = Resize::imagenet});
  BOOST_TEST((expected(wide).logits != expected(wide, {.resize = Resize::squash}).logits));
}

BOOST_AUTO_TEST_CASE(class_names_may_come_from_a_file) {
  const std::string names = (folder / "names.txt").string();
  std::string text;
  for (int i = 0; i < 10; ++i) text += "kind " + std::to_string(i) + "\r\n";
  write_text(names, text + "\n");
  const Json object =
      Json::parse(run_program({"predict", run, first, "--classes", names, "--format", "json"}).out);
  BOOST_TEST(object.at("class").get<std::string>() == "kind " + std::to_string(expected(first).index));

  write_text(names, "one\ntwo\n");
  const ProgramResult few = run_program({"predict", run, first, "--classes", names});
  BOOST_TEST(few.code == 2);
  BOOST_TEST(contains(few.err, names), few.err);
}

BOOST_AUTO_TEST_CASE(a_weights_file_without_metadata_takes_the_network_by_name) {
  SafetensorsFile plain;
  plain.tensors = tensors_from(model.parameters, parameter_layout(model.description.network));
  const std::string file = (folder / "plain.safetensors").string();
  write_safetensors(file, plain);

  const ProgramResult unnamed = run_program({"predict", file, first});
  BOOST_TEST(unnamed.code == 2);
  BOOST_TEST(contains(unnamed.err, "--model"), unnamed.err);

  const Json object =
      Json::parse(run_program({"predict", file, "--model", "convnet", first, "--format", "json"}).out);
  BOOST_TEST(object.at("class").get<std::string>() == std::to_string(expected(first).index));
}

BOOST_AUTO_TEST_CASE(bad_use_is_one_sentence_and_exit_code_2) {
  const std::string cut = (folder / "cut.safetensors").string();
  write_text(cut, read_text(fs::path(run) / "model.safetensors").substr(0, 3000));
  struct Row {
    std::vector<std::string> command;
    std::string_view reason;
  };
  for (const Row& row : {Row{{"predict", (folder / "none").string(), first}, "none"},
                         Row{{"predict", cut, first}, "cut.safetensors"},
                         Row{{"predict", folder.path().string(), first}, "model.safetensors"},
                         Row{{"predict", run, first, "--top", "0"}, "--top"},
                         Row{{"predict", run, first, "--format", "jsn"}, "'json'"},
                         Row{{"predict", run, first, "--resize", "fitt"}, "'fit'"},
                         Row{{"predict", run, first, "--batch-size", "-1"}, "--batch-size"},
                         Row{{"predict", run, first, "--logit"}, "'--logits'"},
                         Row{{"predict", run, first, "--model", "convnett"}, "'convnet'"},
                         Row{{"eval", run, "--data", (folder / "nowhere").string()}, "nowhere"},
                         Row{{"eval", cut}, "cut.safetensors"}, Row{{"inspect", cut}, "cut.safetensors"},
                         Row{{"list", "model"}, "'models'"}}) {
    const ProgramResult result = run_program(row.command);
    BOOST_TEST(result.code == 2, row.command[0] << " " << row.reason << ": " << result.code);
    BOOST_TEST(contains(result.err, row.reason), result.err);
    BOOST_TEST(lines_of(result.err).size() == 1U, result.err);
    BOOST_TEST(result.out.empty(), result.out);
  }
}

BOOST_AUTO_TEST_CASE(inspect_shows_layers_shapes_parameters_work_and_metadata) {
  const ProgramResult result = run_program({"inspect", run});
  BOOST_TEST(result.code == 0, result.err);
  for (const std::string_view part : {"1×28×28", "8×14×14", "4.0", "general_relu", "MMAC", "MFLOPs",
                                      "Ankle boot", "descent.network", "format", "mean 0.28, std 0.35"}) {
    BOOST_TEST(contains(result.out, part), part << " is missing in\n" << result.out);
  }
  const std::int64_t parameters = parameter_count(parameter_layout(model.description.network));
  BOOST_TEST(contains(result.out, std::to_string(parameters)));
}

BOOST_AUTO_TEST_CASE(inspect_shows_the_tensors_of_a_foreign_file) {
  SafetensorsFile foreign;
  foreign.metadata["origin"] = "elsewhere";
  foreign.tensors.push_back({"encoder.weight", DType::f16, {1, 1, 1, 2, 3}, std::vector<std::byte>(12)});
  foreign.tensors.push_back({"steps", DType::i64, {}, std::vector<std::byte>(8)});
  const std::string file = (folder / "foreign.safetensors").string();
  write_safetensors(file, foreign);
  const ProgramResult result = run_program({"inspect", file});
  BOOST_TEST(result.code == 0, result.err);
  for (const std::string_view part :
       {"encoder.weight", "f16", "1×1×1×2×3", "steps", "scalar", "2 tensors", "origin"}) {
    BOOST_TEST(contains(result.out, part), part << " is missing in\n" << result.out);
  }
}

BOOST_AUTO_TEST_CASE(list_names_what_options_take) {
  const auto first_words = [](const std::string& what) {
    std::vector<std::string> words;
    for (const std::string& line : lines_of(run_program({"list", what}).out)) {
      words.push_back(line.substr(0, line.find(' ')));
    }
    if (!words.empty()) words.erase(words.begin());  // the header
    return words;
  };
  const auto holds = [](const std::vector<std::string>& words, const std::string& word) {
    return std::ranges::find(words, word) != words.end();
  };
  std::vector<std::string> optimizers;
  for (const std::string_view one : optimizer_names()) optimizers.emplace_back(one);
  BOOST_TEST(first_words("optimizers") == optimizers, boost::test_tools::per_element());
  for (const char* one : {"convnet", "convnet-deep", "resnet", "resnet18", "resnet50"}) {
    BOOST_TEST(holds(first_words("models"), one), one);
  }
  BOOST_TEST(holds(first_words("datasets"), "fashion-mnist"));
  for (const char* one : {"cpu", "cuda"}) BOOST_TEST(holds(first_words("devices"), one), one);
}

BOOST_AUTO_TEST_CASE(eval_measures_loss_and_accuracy_of_the_validation_pictures) {
  const fs::path data = folder / "data";
  fs::create_directory(data);
  std::string pictures;
  for (std::int32_t n = 0; n < 6; ++n) {
    for (std::int32_t i = 0; i < 28 * 28; ++i) pictures += static_cast<char>((i * (n + 1)) % 256);
  }
  const std::string labels{'\0', '\x03', '\x09', '\x03', '\x01', '\x09'};
  for (const std::string part : {"train", "t10k"}) {
    write_text(data / (part + "-images-idx3-ubyte"), idx_file({6, 28, 28}, pictures));
    const std::string own =
        part == "train" ? std::string(labels.rbegin(), labels.rend()) : labels;  // what must not be measured
    write_text(data / (part + "-labels-idx1-ubyte"), idx_file({6}, own));
  }
  reference::ReferenceDevice device;
  const auto answers =
      Predictor(device, model, 6)
          .predict({reinterpret_cast<const std::uint8_t*>(pictures.data()), pictures.size()}, 6);
  double loss = 0;
  double right = 0;
  for (std::size_t i = 0; i < 6; ++i) {
    const auto label = std::size_t{static_cast<unsigned char>(labels[i])};
    loss -= std::log(static_cast<double>(answers[i].probabilities[label])) / 6;
    right += answers[i].index == label ? 1.0 / 6 : 0;
  }
  const ProgramResult result =
      run_program({"eval", run, "--data", data.string(), "--json", "--batch-size", "4"});
  BOOST_TEST(result.code == 0, result.err);
  BOOST_REQUIRE(lines_of(result.out).size() == 1U);
  const Json object = Json::parse(result.out);
  BOOST_TEST(std::abs(object.at("loss").get<double>() - loss) < 1e-4);
  BOOST_TEST(std::abs(object.at("accuracy").get<double>() - right) < 1e-9);
  BOOST_TEST(object.at("images").get<int>() == 6);
  BOOST_TEST(object.at("seconds").get<double>() > 0);

  write_text(fs::path(run) / "config.toml", "data = '" + data.string() + "'\n");  // a run knows its data
  const Json again = Json::parse(run_program({"eval", run, "--json"}).out);
  BOOST_TEST(again.at("images").get<int>() == 6);
  BOOST_TEST(object.size() == 4U);
}

// Folders lie in another order than the model's classes, and have some of them.
BOOST_AUTO_TEST_CASE(eval_knows_the_classes_of_a_folder_by_their_names) {
  const std::size_t said = expected(first).index;
  const std::size_t other = said == 0 ? 9 : 0;
  const fs::path data = folder / "classes";
  for (const std::size_t index : {said, other}) {
    std::string name = class_names[index];
    std::ranges::replace(name, '/', '-');
    for (int i = 0; i < 10; ++i) {
      fs::create_directories(data / name);
      fs::copy_file(first, data / name / (std::to_string(i) + ".bmp"));
    }
  }
  const ProgramResult result = run_program({"eval", run, "--data", data.string(), "--json"});
  BOOST_TEST(result.code == 0, result.err);
  BOOST_TEST(Json::parse(result.out).at("accuracy").get<double>() == 0.5);

  const fs::path out = folder / "answers";
  BOOST_TEST(run_program({"eval", run, "--data", data.string(), "--out", out.string()}).code == 0);
  const std::vector<std::string> confusion = lines_of(read_text(out / "confusion.csv"));
  BOOST_REQUIRE(confusion.size() == 11U);  // the model's classes, of which the folder has two
  BOOST_TEST(confusion[0] ==
             "label,T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot");
  BOOST_TEST(confusion[1 + said].starts_with(class_names[said] + ","));
  const auto fields = [](const std::string& line) { return std::ranges::count(line, ','); };
  BOOST_TEST(fields(confusion[1 + other]) == 10);
  const std::vector<std::string> worst = lines_of(read_text(out / "worst.csv"));
  BOOST_REQUIRE(worst.size() == 3U);
  BOOST_TEST(worst[1].find("," + class_names[other] + "," + class_names[said] + ",") != std::string::npos,
             worst[1]);
  BOOST_TEST(worst[1].ends_with("/9.bmp"), worst[1]);
  BOOST_TEST(fs::exists(out / "worst.png"));
  const ProgramResult taken = run_program({"eval", run, "--data", data.string(), "--out", run});
  BOOST_TEST(taken.code == 2);
  BOOST_TEST(contains(taken.err, "holds a run"), taken.err);

  fs::rename(data / class_names[said == 0 ? 9 : said], data / "Hat");
  const ProgramResult refused = run_program({"eval", run, "--data", data.string()});
  BOOST_TEST(refused.code == 2);
  BOOST_TEST(contains(refused.err, "no class 'Hat'"), refused.err);
  BOOST_TEST(contains(refused.err, "T-shirt/top, Trouser"), refused.err);
}

BOOST_AUTO_TEST_CASE(help_may_be_asked_for_as_a_verb) {
  BOOST_TEST(run_program({"help"}).out == run_program({"--help"}).out);
  BOOST_TEST(run_program({"help", "eval"}).out == run_program({"eval", "--help"}).out);
}

BOOST_AUTO_TEST_SUITE_END()
