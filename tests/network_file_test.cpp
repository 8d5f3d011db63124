// The text format of networks: what it can say, and what it refuses, naming the layer.
#include "descent/error.h"
#include "descent/network.h"
#include "descent/random.h"

#include <boost/test/unit_test.hpp>

#include <cstddef>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace descent {

namespace {

const std::string head = R"(
name = "small"
input = [3, 8, 8]
classes = 10
normalisation = { mean = [0, 0.5, 0.5], std = [1, 0.5, 0.5] }
)";
const std::string tail = R"(
  { name = "flatten", op = "flatten" },
  { name = "fc", op = "linear", out = "$classes" },
]
)";

// A network of these layers, then flatten and a linear layer.
std::string with_layers(const std::string& layers, const std::string& blocks = {}) {
  return head + "layers = [\n" + layers + tail + blocks;
}

Network parse(const std::string& text) {
  return parse_network(text, "small.toml");
}

std::string names(const Network& network) {
  std::string all;
  for (const Layer& layer : network.layers) all += (all.empty() ? "" : " ") + layer.name;
  return all;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  BOOST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// True if the text is refused with one line that names the file and holds every part.
bool refused(const std::string& text, std::initializer_list<std::string_view> parts) {
  try {
    static_cast<void>(parse(text));
  } catch (const Error& error) {
    const std::string message = error.what();
    BOOST_TEST(error.exit_code() == 2);
    BOOST_TEST(message.starts_with("small.toml"));
    BOOST_TEST(message.find('\n') == std::string::npos);
    for (const std::string_view part : parts) {
      if (message.find(part) == std::string::npos) {
        BOOST_TEST_MESSAGE("'" << message << "' does not mention '" << part << "'");
        return false;
      }
    }
    return true;
  }
  BOOST_TEST_MESSAGE("accepted: " << text);
  return false;
}

bool layer_refused(const std::string& layer, std::initializer_list<std::string_view> parts) {
  return refused(with_layers(layer), parts);
}

const std::string good = with_layers(R"(
  { name = "stem", op = "conv", out = 8, padding = 1 },
  { name = "stage.{0..1}", block = "residual", out = 8 },
)",
                                     R"(
[block.residual]
layers = [
  { name = "a", block = "unit", channels = "$out", slope = 0.1 },
  { name = "b", op = "conv", out = "$out", padding = 1, bias = false },
  { name = "add", op = "add", from = ["b", "input"] },
]
[block.unit]
layers = [
  { name = "0", op = "conv", out = "$channels", padding = 1 },
  { name = "1", op = "batch_norm" },
  { name = "2", op = "general_relu", leak = "$slope" },
]
)");

}  // namespace

BOOST_AUTO_TEST_SUITE(network_file)

BOOST_AUTO_TEST_CASE(networks_to_be_timed_are_read) {
  std::size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator{DESCENT_TOOLS "/networks"}) {
    const Network network = load_network(entry.path().string());
    BOOST_TEST(network.name + ".toml" == entry.path().filename().string());
    ++found;
  }
  BOOST_TEST(found == 3U);
}

BOOST_AUTO_TEST_CASE(head_and_layers_are_read) {
  const Network network =
      parse(with_layers("{ name = 'pool', op = 'max_pool', kernel = [4, 2], stride = [2, 1] },"));
  BOOST_TEST(network.name == "small");
  BOOST_TEST(network.summary.empty());
  BOOST_TEST((network.input == Shape{3, 8, 8}));
  BOOST_TEST((network.normalisation == Normalisation{{0, 0.5F, 0.5F}, {1, 0.5F, 0.5F}}));
  BOOST_TEST(names(network) == "pool flatten fc");
  const auto pool = std::get<MaxPool>(network.layers[0].op);
  BOOST_TEST((pool.kernel == Extent{4, 2}));
  BOOST_TEST((pool.stride == Extent{2, 1}));
  BOOST_TEST((network.layers[0].output == Shape{3, 3, 7}));
  BOOST_TEST((network.layers[2].input == Shape{63}));
}

BOOST_AUTO_TEST_CASE(every_operation_can_be_named_with_every_field) {
  const Network network = parse(with_layers(R"(
    { name = "conv", op = "conv", out = 6, kernel = 3, stride = 1, padding = [2, 1], dilation = 2, groups = 3, bias = false },
    { name = "bn", op = "batch_norm", eps = 1e-3, momentum = 1 },
    { name = "relu", op = "general_relu", leak = 0.25, sub = -1, maxv = 6 },
    { name = "max", op = "max_pool", kernel = 3, stride = 1, padding = 1, ceil_mode = true },
    { name = "avg", op = "avg_pool", kernel = 2, stride = 2, padding = 0, ceil_mode = false },
    { name = "drop", op = "dropout", p = 0.125, channels = true },
    { name = "sum", op = "add", from = ["drop", "avg"] },
    { name = "global", op = "global_avg_pool" },
  )"));
  const auto conv = std::get<Conv>(network.layers[0].op);
  BOOST_TEST(conv.groups == 3);
  BOOST_TEST(!conv.bias);
  BOOST_TEST((conv.dilation == Extent{2, 2}));
  BOOST_TEST((conv.padding == Extent{2, 1}));
  BOOST_TEST(std::get<BatchNorm>(network.layers[1].op).eps == 1e-3);
  BOOST_TEST(std::get<BatchNorm>(network.layers[1].op).momentum == 1.0);
  BOOST_TEST(std::get<GeneralRelu>(network.layers[2].op).sub == -1.0);
  BOOST_TEST(std::get<GeneralRelu>(network.layers[2].op).maxv.value() == 6.0);
  BOOST_TEST(std::get<MaxPool>(network.layers[3].op).ceil_mode);
  BOOST_TEST(std::get<Dropout>(network.layers[5].op).p == 0.125);
  BOOST_TEST(std::get<Dropout>(network.layers[5].op).channels);
  BOOST_TEST((network.layers[6].inputs == std::vector<ValueId>{6, 5}));
}

BOOST_AUTO_TEST_CASE(layers_may_stand_under_headings_of_their_own) {
  const std::string text = head + R"(
[[layers]]
name = "flatten"
op = "flatten"
[[layers]]
name = "fc"
op = "linear"
out = "$classes"
)";
  BOOST_TEST(names(parse(text)) == "flatten fc");
}

BOOST_AUTO_TEST_CASE(blocks_nest_and_repeat_and_names_join_with_dots) {
  const Network network = parse(good);
  BOOST_TEST(names(network) ==
             "stem stage.0.a.0 stage.0.a.1 stage.0.a.2 stage.0.b stage.0.add "
             "stage.1.a.0 stage.1.a.1 stage.1.a.2 stage.1.b stage.1.add flatten fc");
  BOOST_TEST(std::get<GeneralRelu>(network.layers[3].op).leak == 0.1);
  BOOST_TEST((network.layers[5].inputs == std::vector<ValueId>{5, 1}));    // b and the block's input, the stem
  BOOST_TEST((network.layers[10].inputs == std::vector<ValueId>{10, 6}));  // b and the first stage's sum
}

BOOST_AUTO_TEST_CASE(the_name_of_a_block_means_its_output_and_input_the_networks_picture) {
  const Network network = parse(with_layers(R"(
    { name = "left", block = "pair" },
    { name = "right", op = "conv", out = 4, kernel = 1, from = "input" },
    { name = "sum", op = "add", from = ["left", "right"] },
  )",
                                            R"([block.pair]
layers = [{ name = "0", op = "conv", out = 4, kernel = 1 }, { name = "1", op = "batch_norm" }])"));
  BOOST_TEST((network.layers[2].inputs == std::vector<ValueId>{0}));
  BOOST_TEST((network.layers[3].inputs == std::vector<ValueId>{2, 3}));
}

BOOST_AUTO_TEST_CASE(arguments_reach_into_lists_and_classes_into_blocks) {
  const Network network = parse(head + R"(
layers = [{ name = "all", block = "all", h = 3, kernel = [5, 7] }]
[block.all]
layers = [
  { name = "a", op = "conv", out = 4, kernel = ["$h", 1] },
  { name = "b", op = "conv", out = "$classes", kernel = "$kernel" },
  { name = "c", op = "global_avg_pool" },
  { name = "d", op = "flatten" },
])");
  BOOST_TEST((std::get<Conv>(network.layers[0].op).kernel == Extent{3, 1}));
  BOOST_TEST((std::get<Conv>(network.layers[1].op).kernel == Extent{5, 7}));
  BOOST_TEST(network.classes() == 10);
}

BOOST_AUTO_TEST_CASE(classes_of_the_caller_replace_those_of_the_file) {
  BOOST_TEST(parse_network(good, "small.toml", 3).classes() == 3);
  BOOST_CHECK_THROW(static_cast<void>(parse_network(good, "small.toml", -1)), Error);
}

BOOST_AUTO_TEST_CASE(a_network_that_ignores_classes_cannot_get_other_ones) {
  const std::string fixed = replaced(good, "\"$classes\"", "10");
  BOOST_TEST(parse(fixed).classes() == 10);
  BOOST_CHECK_THROW(static_cast<void>(parse_network(fixed, "small.toml", 3)), Error);
}

BOOST_AUTO_TEST_CASE(what_the_head_lacks_or_misspells_is_named) {
  BOOST_TEST(refused(replaced(good, "name = \"small\"", ""), {"no 'name'"}));
  BOOST_TEST(refused(replaced(good, "input = [3, 8, 8]", ""), {"no 'input'"}));
  BOOST_TEST(refused(replaced(good, "classes = 10", ""), {"no 'classes'"}));
  BOOST_TEST(refused(replaced(good, "normalisation =", "normalization ="),
                     {"'normalization'", "'normalisation'", "line 5"}));
  BOOST_TEST(refused(replaced(good, "mean =", "means ="), {"'means'", "'mean'"}));
  BOOST_TEST(refused(replaced(good, "[0, 0.5, 0.5]", "[0.5]"), {"'mean'", "1 numbers", "3 channels"}));
  BOOST_TEST(refused(replaced(good, "[0, 0.5, 0.5]", "[0, 0.5, 'a']"), {"'mean'", "text"}));
  BOOST_TEST(refused(replaced(good, "[0, 0.5, 0.5]", "[0, 0.5, nan]"), {"'mean'", "finite"}));
  BOOST_TEST(refused(replaced(good, "[1, 0.5, 0.5]", "[1, 0.5, 0]"), {"'std'", "greater than 0"}));
  BOOST_TEST(refused(replaced(good, "[1, 0.5, 0.5]", "[1, 0.5, 1e-60]"), {"'std'", "greater than 0"}));
  BOOST_TEST(refused(replaced(good, "[3, 8, 8]", "[3, 8]"), {"'input'", "[channels, height, width]"}));
  BOOST_TEST(refused(replaced(good, "[3, 8, 8]", "[3, 0, 8]"), {"'input'", "0"}));
  BOOST_TEST(refused(replaced(good, "[3, 8, 8]", "[3, -8, 8]"), {"'input'", "-8"}));
  BOOST_TEST(refused(replaced(good, "[3, 8, 8]", "[3, 8.0, 8]"), {"'input'", "whole number"}));
  BOOST_TEST(refused(replaced(good, "classes = 10", "classes = 0"), {"'classes'", "0"}));
  BOOST_TEST(refused(replaced(good, "classes = 10", "classes = '10'"), {"'classes'", "text"}));
  BOOST_TEST(refused(replaced(good, "\"small\"", "\"../small\""), {"'name'", "../small"}));
  BOOST_TEST(refused(replaced(good, "\"small\"", "\"..\""), {"'name'"}));
  BOOST_TEST(refused(replaced(good, "\"small\"", "3"), {"'name'", "text"}));
  BOOST_TEST(refused(head, {"no 'layers'"}));
  BOOST_TEST(refused(head + "layers = []", {"no layers"}));
  BOOST_TEST(refused(head + "layers = [3]", {"'layers'", "table"}));
  BOOST_TEST(refused("", {"no 'name'"}));
}

BOOST_AUTO_TEST_CASE(text_that_is_not_toml_is_refused_with_its_line) {
  BOOST_TEST(refused("name = \"small\"\ninput = [3, 8\n", {"line 2", "TOML"}));
  BOOST_TEST(refused("name = \"small\"\nname = \"again\"\n", {"line 2", "TOML"}));
  BOOST_TEST(refused("\xff\xfe", {"TOML"}));
  BOOST_TEST(refused("name = \"small\"\ninput = [ } ]\n", {"line 2", "TOML"}));
}

BOOST_AUTO_TEST_CASE(an_unknown_key_or_operation_or_block_names_the_nearest) {
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = 4, strid = 2 },",
                           {"layer 'c'", "'strid'", "'stride'", "line 7"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'convolution', out = 4 },", {"layer 'c'", "op 'convolution'", "conv"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'max_poool' },", {"layer 'c'", "'max_pool'"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'relu' },", {"layer 'c'", "'general_relu'"}));
  BOOST_TEST(refused(replaced(good, "block = \"unit\"", "block = \"unti\""),
                     {"layer 'stage.0.a'", "block 'unti'", "'unit'"}));
  BOOST_TEST(layer_refused("{ name = 'c', block = 'b' },", {"layer 'c'", "block 'b'", "there is none"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'softmax_cross_entropy' },", {"layer 'c'", "unknown op"}));
  BOOST_TEST(refused(replaced(good, "[block.residual]", "[block.residual]\nlayer = 3"),
                     {"block 'residual'", "'layer'", "'layers'"}));
}

BOOST_AUTO_TEST_CASE(a_layer_is_either_an_operation_or_a_block_and_has_a_name) {
  BOOST_TEST(layer_refused("{ name = 'c' },", {"layer 'c'", "'op'", "'block'"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'flatten', block = 'b' },", {"layer 'c'", "'op'", "'block'"}));
  BOOST_TEST(layer_refused("{ op = 'flatten' },", {"no 'name'", "line 7"}));
  BOOST_TEST(layer_refused("{ name = '', op = 'batch_norm' },", {"''"}));
  BOOST_TEST(layer_refused("{ name = 'a b', op = 'batch_norm' },", {"'a b'"}));
  BOOST_TEST(layer_refused("{ name = 'a..b', op = 'batch_norm' },", {"'a..b'"}));
  BOOST_TEST(layer_refused("{ name = '.a', op = 'batch_norm' },", {"'.a'"}));
  BOOST_TEST(layer_refused("{ name = 'input', op = 'batch_norm' },", {"'input'"}));
  BOOST_TEST(layer_refused("{ name = '" + std::string(101, 'x') + "', op = 'batch_norm' },", {"100 letters"}));
}

BOOST_AUTO_TEST_CASE(a_repeat_that_makes_no_sense_is_refused) {
  for (const std::string_view name :
       {"a{1..2", "a1..2}", "a{2..1}", "a{1.2}", "a{..}", "a{1..}", "a{1..2}{1..2}", "a}1..2{", "a{-1..2}",
        "a{0..99999999999999999999}", "a{0..100000}", "a{{1..2}}"}) {
    BOOST_TEST(
        layer_refused("{ name = '" + std::string(name) + "', op = 'batch_norm' },", {std::string_view(name)}));
  }
}

BOOST_AUTO_TEST_CASE(a_value_of_the_wrong_type_is_refused) {
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv' },", {"layer 'c'", "needs 'out'"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = 4.0 },", {"layer 'c'", "'out'", "whole number"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'conv', out = [4, 4] },", {"layer 'c'", "'out'", "whole number"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = '4' },", {"layer 'c'", "'out'", "whole number"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = 4, kernel = [3] },",
                           {"layer 'c'", "'kernel'", "[height, width]"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'conv', out = 4, kernel = [3, 3, 3] },", {"layer 'c'", "'kernel'"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'conv', out = 4, kernel = [3, 1.5] },", {"layer 'c'", "'kernel'"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = 4, bias = 1 },",
                           {"layer 'c'", "'bias'", "true or false"}));
  BOOST_TEST(
      layer_refused("{ name = 'r', op = 'general_relu', leak = true },", {"layer 'r'", "'leak'", "number"}));
  BOOST_TEST(
      layer_refused("{ name = 'r', op = 'general_relu', leak = inf },", {"layer 'r'", "'leak'", "finite"}));
  BOOST_TEST(
      layer_refused("{ name = 'r', op = 'general_relu', maxv = nan },", {"layer 'r'", "'maxv'", "finite"}));
  BOOST_TEST(layer_refused("{ name = 'r', op = 'general_relu', leak = 1979-05-27 },", {"'leak'", "date"}));
  BOOST_TEST(layer_refused("{ name = 'r', op = 'general_relu', leak = { a = 1 } },", {"'leak'", "table"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'conv', out = 4, kernel = [[3, 3], 3] },", {"'kernel'", "list"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 3 },", {"'op'", "text"}));
}

BOOST_AUTO_TEST_CASE(sizes_and_shapes_that_do_not_fit_name_layer_and_shapes) {
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = 0 },", {"layer 'c'", "'out'", "0"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'conv', out = 4, stride = -1 },", {"layer 'c'", "'stride'", "-1×-1"}));
  BOOST_TEST(
      layer_refused("{ name = 'c', op = 'conv', out = 4, groups = 2 },", {"layer 'c'", "2 groups", "3×8×8"}));
  BOOST_TEST(layer_refused("{ name = 'c', op = 'conv', out = 4, kernel = 9 },", {"layer 'c'", "9×9", "3×8×8"}));
  BOOST_TEST(layer_refused("{ name = 'd', op = 'dropout', p = 1 },", {"layer 'd'", "'p'", "[0, 1)"}));
  BOOST_TEST(layer_refused("{ name = 'l', op = 'linear', out = 4 },", {"layer 'l'", "3×8×8", "flatten"}));
  BOOST_TEST(
      layer_refused("{ name = 'p', op = 'max_pool' }, { name = 'a', op = 'add', from = ['p', 'input'] },",
                    {"layer 'a'", "3×4×4", "3×8×8"}));
  BOOST_TEST(layer_refused("{ name = 'a', op = 'add' },", {"layer 'a'", "2 inputs"}));
  BOOST_TEST(refused(replaced(good, "out = \"$out\", padding = 1, bias", "out = \"$out\", bias"),
                     {"layer 'stage.0.add'", "8×6×6", "8×8×8"}));
}

BOOST_AUTO_TEST_CASE(inputs_must_be_known_earlier_and_different) {
  const std::string two = "{ name = 'one', op = 'batch_norm' }, { name = 'two', op = 'batch_norm', from = ";
  BOOST_TEST(layer_refused(two + "'onne' },", {"layer 'two'", "'onne'", "'one'"}));
  BOOST_TEST(layer_refused(two + "'flatten' },", {"layer 'two'", "'flatten'", "before"}));
  BOOST_TEST(layer_refused(two + "'two' },", {"layer 'two'", "'two'", "before"}));
  BOOST_TEST(layer_refused(two + "[] },", {"layer 'two'", "'from'"}));
  BOOST_TEST(layer_refused(two + "3 },", {"'from'", "text"}));
  BOOST_TEST(layer_refused(two + "['one', 'one'] },", {"layer 'two'", "'one' twice"}));
  BOOST_TEST(refused(replaced(good, "from = [\"b\", \"input\"]", "from = [\"b\", \"stem\"]"),
                     {"layer 'stage.0.add'", "'stem'"}));
  BOOST_TEST(refused(
      replaced(good, "block = \"unit\", channels", "block = \"unit\", from = [\"input\", \"input\"], channels"),
      {"layer 'stage.0.a'", "twice"}));
}

BOOST_AUTO_TEST_CASE(what_nobody_uses_is_refused) {
  BOOST_TEST(
      layer_refused("{ name = 'one', op = 'batch_norm' }, { name = 'two', op = 'batch_norm', from = 'input' },",
                    {"layer 'one'", "no layer reads"}));
  BOOST_TEST(refused(good + "[block.spare]\nlayers = [{ name = 'x', op = 'flatten' }]\n",
                     {"block 'spare'", "never used"}));
  BOOST_TEST(refused(replaced(good, "slope = 0.1", "slope = 0.1, slop = 2"),
                     {"layer 'stage.0.a'", "block 'unit'", "'slop'", "'slope'"}));
  BOOST_TEST(refused(replaced(good, "slope = 0.1", "classes = 3, slope = 0.1"),
                     {"layer 'stage.0.a'", "'classes'", "always there"}));
}

BOOST_AUTO_TEST_CASE(a_missing_argument_is_named) {
  BOOST_TEST(refused(replaced(good, ", slope = 0.1", ""), {"layer 'stage.0.a.2'", "block 'unit'", "'slope'"}));
  BOOST_TEST(refused(with_layers("{ name = 'c', op = 'conv', out = '$width' },"),
                     {"layer 'c'", "'$width'", "outside a block"}));
  BOOST_TEST(refused(replaced(good, "slope = 0.1", "slope = [1, 2]"), {"layer 'stage.0.a.2'", "'leak'"}));
}

BOOST_AUTO_TEST_CASE(names_given_twice_are_refused) {
  BOOST_TEST(layer_refused("{ name = 'x', op = 'batch_norm' }, { name = 'x', op = 'batch_norm' },",
                           {"layer 'x'", "twice"}));
  BOOST_TEST(
      refused(replaced(good, "name = \"stem\"", "name = \"stage.1.b\""), {"layer 'stage.1.b'", "twice"}));
}

BOOST_AUTO_TEST_CASE(a_network_ends_in_one_feature_a_class) {
  BOOST_TEST(refused(head + "layers = [{ name = 'c', op = 'conv', out = 10 }]",
                     {"layer 'c'", "10×6×6", "10 features"}));
  BOOST_TEST(refused(replaced(good, "\"$classes\"", "12"), {"layer 'fc'", "12", "10 features"}));
}

BOOST_AUTO_TEST_CASE(blocks_cannot_use_themselves_or_nest_without_end) {
  BOOST_TEST(refused(
      replaced(good, "op = \"general_relu\", leak = \"$slope\"", "block = \"residual\", out = \"$slope\""),
      {"layer 'stage.0.a.2'", "'residual' uses itself"}));
  std::string blocks;
  for (int i = 0; i < 40; ++i) {
    blocks += "[block.b" + std::to_string(i) + "]\nlayers = [{ name = 'x', block = 'b" + std::to_string(i + 1) +
              "' }]\n";
  }
  BOOST_TEST(refused(with_layers("{ name = 'deep', block = 'b0' },", blocks), {"nested more than"}));
}

BOOST_AUTO_TEST_CASE(files_that_would_grow_without_end_are_refused) {
  // Each block doubles the one before: 4^12 layers from a dozen lines.
  std::string blocks;
  for (int i = 0; i < 12; ++i) {
    blocks += "[block.b" + std::to_string(i) + "]\nlayers = [{ name = '{0..3}', block = 'b" +
              std::to_string(i + 1) + "' }]\n";
  }
  blocks += "[block.b12]\nlayers = [{ name = 'x', op = 'batch_norm' }]\n";
  BOOST_TEST(refused(with_layers("{ name = 'wide', block = 'b0' },", blocks), {"at most 10000 layers"}));
  BOOST_TEST(parse(with_layers("{ name = 'x.{1..9998}', op = 'batch_norm' },")).layers.size() == 10000U);
  BOOST_TEST(
      layer_refused("{ name = 'x.{1..9999}', op = 'batch_norm' },", {"layer 'fc'", "at most 10000 layers"}));
  BOOST_TEST(refused(good + "#" + std::string(std::size_t{1} << 20U, 'x'), {"bytes"}));
  std::string dotted = "a";
  for (int i = 0; i < 100000; ++i) dotted += ".a";
  BOOST_TEST(refused("[" + dotted + "]\n", {"dots"}));
  BOOST_TEST(refused("a = " + std::string(100000, '['), {"TOML"}));
  BOOST_TEST(layer_refused(
      "{ name = 'c', op = 'conv', out = 1000000, kernel = 1 }, { name = 'd', op = 'conv', out = 1000000 },",
      {"layer 'd'", "more than"}));
}

BOOST_AUTO_TEST_CASE(as_many_dots_as_are_allowed_do_not_harm) {
  std::string deep = "a";
  for (int i = 0; i < 9990; ++i) deep += ".a";
  BOOST_TEST(refused(deep + " = 1\n", {"unknown key 'a'"}));
}

// Byte flips, cuts, and swaps of whole pieces: whatever comes out is a network or an Error.
BOOST_AUTO_TEST_CASE(mutations_of_a_good_file_never_crash) {
  const std::vector<std::string> pieces{
      "\"$out\"", "-1",    "0",  "99999999999",      "[1, 2]",         "\"input\"", "{1..3}",
      "[",        "}",     "\n", "block = \"unit\"", "from = \"b\", ", "1e308",     "true",
      "$classes", "\"a\"", "="};
  int accepted = 0;
  constexpr int mutations = 4000;
  for (std::uint32_t i = 0; i < mutations; ++i) {
    std::string text = good;
    const RandomKey key{i, Purpose::demo, 0, 0};
    const std::uint64_t changes = 1 + uniform_below(key, 0, 3);
    for (std::uint64_t change = 1; change <= changes; ++change) {
      const RandomBits bits = random_bits(key, change);
      const std::size_t at = bits[0] % text.size();
      switch (bits[1] % 5) {
        case 0:
          text[at] = static_cast<char>(bits[2] & 0xFFU);
          break;
        case 1:
          text.erase(at, 1 + bits[2] % 12);
          break;
        case 2:
          text.insert(at, pieces[bits[2] % pieces.size()]);
          break;
        case 3:
          text.replace(at, 1 + bits[3] % 8, pieces[bits[2] % pieces.size()]);
          break;
        default:
          text.insert(at, text.substr(bits[2] % text.size(), bits[3] % 60));
          break;
      }
    }
    try {
      const Network network = parse(text);
      BOOST_REQUIRE(!network.layers.empty());
      ++accepted;
    } catch (const Error& error) {
      BOOST_REQUIRE(std::string_view(error.what()).starts_with("small.toml"));
    }
  }
  BOOST_TEST(accepted > mutations / 100);  // the mutations are small enough to reach every check
  BOOST_TEST(accepted < mutations / 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent
