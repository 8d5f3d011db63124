// Model files: a network with its weights, its text and the names of its classes.
#include "descent/error.h"
#include "descent/weights.h"
#include "temporary_folder.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <string>
#include <vector>

using namespace descent;
namespace fs = std::filesystem;

namespace {

Model make_model(const std::string& network, std::int64_t classes, std::vector<std::string> names = {}) {
  Model model{{load_network(network, classes), std::move(names)}, {}};
  const ParameterLayout layout = parameter_layout(model.description.network);
  model.parameters = initialise(model.description.network, layout, Initialisation::pytorch, 5);
  for (std::size_t i = 0; i < model.parameters.counters.size(); ++i) {
    model.parameters.counters[i] = static_cast<std::int64_t>(100 + i);
  }
  return model;
}

// Writes only the tensors, as a framework would.
void save_tensors(const fs::path& file, const Model& model) {
  SafetensorsFile content;
  content.tensors = tensors_from(model.parameters, parameter_layout(model.description.network));
  write_safetensors(file, content);
}

void change_metadata(const fs::path& file, const std::string& key, const std::string& value) {
  SafetensorsFile content = read_safetensors(file);
  content.metadata[key] = value;
  write_safetensors(file, content);
}

std::string load_verdict(const fs::path& file, const std::optional<std::string>& network = std::nullopt) {
  try {
    (void)load_model(file, network);
  } catch (const Error& error) {
    BOOST_TEST(error.exit_code() == 2);
    return error.what();
  }
  return "loaded";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

const std::vector<std::string> three_names{"cat", "dög", "\"quoted\", \\ and\nlines"};

}  // namespace

BOOST_AUTO_TEST_SUITE(model_files)

BOOST_AUTO_TEST_CASE(a_saved_model_needs_nothing_else_to_be_loaded) {
  const TemporaryFolder folder;
  const fs::path file = folder / "model.safetensors";
  for (const BuiltinNetwork& builtin : builtin_networks()) {
    if (builtin.name == "resnet50") continue;  // as resnet18, only larger
    const Model model = make_model(std::string(builtin.name), 3, three_names);
    save_model(file, model);
    for (const fs::path& given : {file, folder.path()}) {
      const Model loaded = load_model(given);
      BOOST_TEST(loaded.description.network.name == builtin.name);
      BOOST_TEST(loaded.description.network.classes() == 3);
      BOOST_TEST((loaded.description.network.normalisation == model.description.network.normalisation));
      BOOST_TEST((loaded.description.network.input == model.description.network.input));
      BOOST_TEST(loaded.description.classes == three_names, boost::test_tools::per_element());
      BOOST_TEST((loaded.parameters.trained == model.parameters.trained));
      BOOST_TEST((loaded.parameters.statistics == model.parameters.statistics));
      BOOST_TEST((loaded.parameters.counters == model.parameters.counters));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_same_model_gives_the_same_bytes) {
  const TemporaryFolder folder;
  const Model model = make_model("convnet", 10);
  save_model(folder / "a", model);
  save_model(folder / "b", load_model(folder / "a"));
  BOOST_TEST((read_text(folder / "a") == read_text(folder / "b")));
}

BOOST_AUTO_TEST_CASE(convnet_has_the_names_of_the_sequential_in_its_order) {
  const Model model = make_model("convnet", 10);
  std::vector<std::string> names;
  for (const FileTensor& one : tensors_from(model.parameters, parameter_layout(model.description.network))) {
    names.push_back(one.name);
  }
  std::vector<std::string> wanted;
  for (const std::string block : {"0", "1", "2", "3"}) {
    for (const char* suffix : {".0.weight", ".0.bias", ".1.weight", ".1.bias", ".1.running_mean",
                               ".1.running_var", ".1.num_batches_tracked"}) {
      wanted.push_back(block + suffix);
    }
  }
  wanted.insert(wanted.end(), {"4.0.weight", "4.0.bias"});
  BOOST_TEST(names == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_file_of_tensors_alone_takes_the_network_by_name_and_counts_the_classes) {
  const TemporaryFolder folder;
  const fs::path file = folder / "plain.safetensors";
  for (const std::string network : {"convnet", "resnet"}) {
    const Model model = make_model(network, 7);
    save_tensors(file, model);
    BOOST_TEST(contains(load_verdict(file), "--model"));
    const Model loaded = load_model(file, network);
    BOOST_TEST(loaded.description.network.classes() == 7);
    BOOST_TEST(loaded.description.classes.empty());
    BOOST_TEST((loaded.parameters.trained == model.parameters.trained));
  }
  BOOST_TEST(contains(load_verdict(file, "resnet18"), "plain.safetensors"));
  BOOST_TEST(contains(load_verdict(file, "resnett"), "'resnet'"));
}

BOOST_AUTO_TEST_CASE(classes_without_names_are_counted_from_the_file) {
  const TemporaryFolder folder;
  save_model(folder / "m.safetensors", make_model("convnet", 4));
  BOOST_TEST(load_model(folder / "m.safetensors").description.network.classes() == 4);
}

BOOST_AUTO_TEST_CASE(a_folder_without_a_model_says_what_is_wanted) {
  const TemporaryFolder folder;
  const std::string message = load_verdict(folder.path());
  BOOST_TEST(contains(message, "model.safetensors"), message);
  BOOST_TEST(contains(load_verdict(folder / "none"), "none"));
}

BOOST_AUTO_TEST_CASE(damaged_metadata_is_refused) {
  const TemporaryFolder folder;
  const fs::path file = folder / "m.safetensors";
  struct Row {
    std::string key;
    std::string value;
    std::string_view reason;
  };
  for (const Row& row :
       {Row{"descent.classes", "cat, dog", "JSON array"}, Row{"descent.classes", "[1, 2, 3]", "JSON array"},
        Row{"descent.classes", R"(["a", "b"])", "4.0.weight"},
        Row{"descent.classes", std::string(100'000, '['), "JSON array"},
        Row{"descent.network", "name = 3", "m.safetensors"}, Row{"descent.network", "", "m.safetensors"},
        Row{"descent.version", "99", "version"}}) {
    save_model(file, make_model("convnet", 3, three_names));
    change_metadata(file, row.key, row.value);
    const std::string message = load_verdict(file);
    BOOST_TEST(contains(message, row.reason), "'" << message << "' does not say '" << row.reason << "'");
  }
}

BOOST_AUTO_TEST_SUITE_END()
