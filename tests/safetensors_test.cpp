// Safetensors files: what is written, what is read, and everything that is refused.
#include "descent/error.h"
#include "descent/random.h"
#include "descent/weights.h"
#include "temporary_folder.h"
#include "weights/convert.h"

#include <algorithm>
#include <array>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>

using namespace descent;
namespace fs = std::filesystem;

namespace {

std::string length_bytes(std::uint64_t length) {
  const auto bytes = std::bit_cast<std::array<char, 8>>(length);
  return {bytes.begin(), bytes.end()};
}

std::string file_of(const std::string& header, const std::string& data) {
  return length_bytes(header.size()) + header + data;
}

// What reading a file of these bytes says; "read" if nothing is wrong.
std::string verdict(const TemporaryFolder& folder, const std::string& bytes) {
  const fs::path file = folder / "case.safetensors";
  write_text(file, bytes);
  try {
    (void)read_safetensors(file);
  } catch (const Error& error) {
    BOOST_TEST(error.exit_code() == 2);
    BOOST_TEST(std::string(error.what()).find("case.safetensors") != std::string::npos, error.what());
    return error.what();
  }
  return "read";
}

template <class Element>
FileTensor tensor(const std::string& name, DType type, std::vector<std::int64_t> shape,
                  const std::vector<Element>& values) {
  FileTensor made{name, type, std::move(shape), std::vector<std::byte>(values.size() * sizeof(Element))};
  if (!values.empty()) std::memcpy(made.bytes.data(), values.data(), made.bytes.size());
  return made;
}

SafetensorsFile small_file() {
  SafetensorsFile content;
  content.metadata = {{"format", "pt"}, {"note", "caf\u00e9 \"quoted\"\n"}};
  content.tensors.push_back(tensor<float>("0.weight", DType::f32, {2, 3}, {1, 2, 3, 4, 5, 6}));
  content.tensors.push_back(tensor<float>("0.bias", DType::f32, {3}, {-1, 0, 1e-30F}));
  content.tensors.push_back(tensor<std::int64_t>("1.num_batches_tracked", DType::i64, {}, {7}));
  content.tensors.push_back(tensor<std::uint8_t>("empty", DType::u8, {0, 4}, {}));
  return content;
}

// Layout of a network with one trained tensor of 2×3, one statistic of 3 and one counter.
ParameterLayout small_layout() {
  ParameterLayout layout;
  layout.trained = {{"0.weight", 0, Shape{2, 3}, 0}, {"1.weight", 1, Shape{3}, 16}};
  layout.trained_elements = 32;
  layout.statistics = {{"1.running_mean", 1, Shape{3}, 0}};
  layout.statistic_elements = 16;
  layout.counters = {{"1.num_batches_tracked", 1, Shape{}, 0}};
  return layout;
}

SafetensorsFile fitting_file() {
  SafetensorsFile content;
  content.tensors.push_back(tensor<float>("0.weight", DType::f32, {2, 3}, {1, 2, 3, 4, 5, 6}));
  content.tensors.push_back(tensor<double>("1.weight", DType::f64, {3}, {.5, -.25, 8}));
  content.tensors.push_back(tensor<std::uint16_t>("1.running_mean", DType::bf16, {3}, {0x3f80, 0xc000, 0}));
  content.tensors.push_back(tensor<std::int64_t>("1.num_batches_tracked", DType::i64, {}, {42}));
  return content;
}

std::string load_verdict(const SafetensorsFile& content) {
  try {
    (void)parameters_from(content, small_layout(), "w.safetensors");
  } catch (const Error& error) {
    BOOST_TEST(error.exit_code() == 2);
    return error.what();
  }
  return "loaded";
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors)

BOOST_AUTO_TEST_CASE(what_was_written_is_read_back) {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.safetensors";
  const SafetensorsFile content = small_file();
  write_safetensors(file, content);
  const SafetensorsFile read = read_safetensors(file);
  BOOST_TEST((read.metadata == content.metadata));
  BOOST_REQUIRE(read.tensors.size() == content.tensors.size());
  for (const FileTensor& wanted : content.tensors) {
    const auto found = std::ranges::find(read.tensors, wanted.name, &FileTensor::name);
    BOOST_REQUIRE(found != read.tensors.end());
    BOOST_TEST((found->type == wanted.type));
    BOOST_TEST(found->shape == wanted.shape, boost::test_tools::per_element());
    BOOST_TEST((found->bytes == wanted.bytes));
  }
}

BOOST_AUTO_TEST_CASE(the_same_content_gives_the_same_bytes_and_data_are_aligned) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a.safetensors", small_file());
  write_safetensors(folder / "b.safetensors", small_file());
  const std::string bytes = read_text(folder / "a.safetensors");
  BOOST_TEST((bytes == read_text(folder / "b.safetensors")));
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  BOOST_TEST(header % 8 == 0U);
  BOOST_TEST(bytes[8] == '{');
  // Wide elements come first, so the counter lies at the start of the data.
  std::int64_t counter = 0;
  std::memcpy(&counter, bytes.data() + 8 + header, sizeof counter);
  BOOST_TEST(counter == 7);
}

BOOST_AUTO_TEST_CASE(a_file_without_tensors_and_a_header_padded_with_spaces_are_read) {
  const TemporaryFolder folder;
  BOOST_TEST(verdict(folder, file_of("{}", "")) == "read");
  BOOST_TEST(verdict(folder, file_of("{}                    ", "")) == "read");
  BOOST_TEST(
      verdict(folder, file_of(R"({"a":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[0,0]}})",
                              "")) == "read");
}

BOOST_AUTO_TEST_CASE(every_malformed_file_is_refused_with_its_reason) {
  const TemporaryFolder folder;
  const std::string a = R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  const std::string eight(8, 'x');
  struct Row {
    std::string bytes;
    std::string_view reason;
  };
  const std::vector<Row> rows{
      {"", "only 0 bytes"},
      {"1234567", "only 7 bytes"},
      {length_bytes(3) + "{}", "3 bytes"},
      {length_bytes(~0ULL) + "{}", "18446744073709551615"},
      {length_bytes(100'000'001) + "{}", "100000001"},
      {file_of("", ""), "not a JSON object"},
      {file_of(" {}", ""), "not a JSON object"},
      {file_of("[]", ""), "not a JSON object"},
      {file_of("\xef\xbb\xbf{}", ""), "not a JSON object"},
      {file_of(std::string("{}\0junk", 7), ""), "not a JSON object"},
      {file_of("{", ""), "not JSON"},
      {file_of("{} x", ""), "not JSON"},
      {file_of("{\"a\":}", ""), "not JSON"},
      {file_of("{\"\xff\":{}}", ""), "not JSON"},
      {file_of("{" + a + "," + a + "}", eight), "'a' twice"},
      {file_of(R"({"__metadata__":{"k":"v","k":"w"}})", ""), "'k' twice"},
      {file_of(R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", eight),
       "'dtype' twice"},
      {file_of(R"({"__metadata__":{"k":1}})", ""), "number 1 at 'k'"},
      {file_of(R"({"__metadata__":{"k":{"deep":"v"}}})", ""), "an object at 'k'"},
      {file_of(R"({"__metadata__":{"k":null}})", ""), "a null at 'k'"},
      {file_of(R"({"__metadata__":[]})", ""), "an array"},
      {file_of(R"({"a":5})", ""), "number 5 at 'a'"},
      {file_of(R"({"a":{"shape":[2],"data_offsets":[0,8]}})", eight), "without all of"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"extra":1}})", eight),
       "unknown key 'extra'"},
      {file_of(R"({"a":{"dtype":"F7","shape":[2],"data_offsets":[0,8]}})", eight), "element type 'F7'"},
      {file_of(R"({"a":{"dtype":1,"shape":[2],"data_offsets":[0,8]}})", eight), "number 1 as dtype"},
      {file_of(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", eight), "as shape of tensor 'a'"},
      {file_of(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})", eight), "an array as shape"},
      {file_of(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", eight), "negative"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", eight), "number 2.0"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2e0],"data_offsets":[0,8]}})", eight), "number 2e0"},
      {file_of(R"({"a":{"dtype":"F32","shape":[true],"data_offsets":[0,8]}})", eight), "true or false"},
      {file_of(R"({"a":{"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]}})", eight),
       "number"},
      {file_of(R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,8]}})", eight), "number"},
      {file_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})", eight),
       "too large"},
      {file_of(R"({"a":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}})", eight),
       "too large"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", eight), "too few offsets"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", eight),
       "number 8 as data_offsets"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", eight), "backwards"},
      {file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "xxxx"), "needs 8 bytes"},
      {file_of("{" + a + "}", "xxxxxxx"), "holds 7"},
      {file_of("{" + a + "}", eight + "x"), "1 bytes follow"},
      {file_of("{}", "x"), "1 bytes follow"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", eight), "hole"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
           eight + "xxxx"),
       "overlaps"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}})",
           eight),
       "overlaps"},
      {file_of("{\"a\":" + std::string(100'000, '['), ""), "an array"},
      {file_of("{\"a\":{\"b\":" + std::string(100'000, '{'), ""), "unknown key"},
  };
  for (const Row& row : rows) {
    const std::string message = verdict(folder, row.bytes);
    BOOST_TEST(contains(message, row.reason), "'" << message << "' does not say '" << row.reason << "'");
  }
}

BOOST_AUTO_TEST_CASE(a_missing_file_and_a_folder_are_refused) {
  const TemporaryFolder folder;
  BOOST_CHECK_THROW((void)read_safetensors(folder / "none.safetensors"), Error);
  BOOST_CHECK_THROW((void)read_safetensors(folder / "."), Error);
}

BOOST_AUTO_TEST_CASE(every_truncation_is_refused) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a.safetensors", small_file());
  const std::string bytes = read_text(folder / "a.safetensors");
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    BOOST_TEST(verdict(folder, bytes.substr(0, length)) != "read");
  }
}

BOOST_AUTO_TEST_CASE(mutated_files_are_read_or_refused_but_never_more_than_the_file_is_held) {
  const TemporaryFolder folder;
  write_safetensors(folder / "a.safetensors", small_file());
  const std::string good = read_text(folder / "a.safetensors");
  const fs::path file = folder / "mutant.safetensors";
  int refused = 0;
  constexpr std::uint64_t mutants = 4000;
  for (std::uint64_t mutant = 0; mutant < mutants; ++mutant) {
    std::string bytes = good;
    const auto draw = [&](std::uint64_t position, std::uint64_t bound) {
      return uniform_below(RandomKey{mutant, Purpose::shuffle, 0, 0}, position, bound);
    };
    const std::uint64_t edits = 1 + draw(0, 4);
    for (std::uint64_t edit = 0; edit < edits; ++edit) {
      const std::size_t place = draw(10 * edit + 1, bytes.size());
      const auto value = static_cast<char>(draw(10 * edit + 2, 256));
      switch (draw(10 * edit + 3, 5)) {
        case 0:
          bytes[place] = value;
          break;
        case 1:  // another digit or mark of JSON
          bytes[place] = "0123456789{}[],:\""[draw(10 * edit + 4, 17)];
          break;
        case 2:
          bytes.erase(place, 1 + draw(10 * edit + 5, 8));  // never all: the file is far longer
          break;
        case 3:
          bytes.insert(place, 1 + draw(10 * edit + 5, 8), value);
          break;
        default:
          bytes.insert(place, bytes.substr(draw(10 * edit + 5, bytes.size()), 1 + draw(10 * edit + 6, 40)));
          break;
      }
    }
    write_text(file, bytes);
    try {
      const SafetensorsFile read = read_safetensors(file);
      std::size_t held = 0;
      for (const FileTensor& one : read.tensors) held += one.bytes.size();
      BOOST_REQUIRE(held <= bytes.size());
    } catch (const Error&) {
      ++refused;
    }
  }
  BOOST_TEST(refused > 1000);
  BOOST_TEST(refused < static_cast<int>(mutants));  // changes inside the data are not the format's to see
}

BOOST_AUTO_TEST_CASE(half_and_bfloat_numbers_become_f32_exactly) {
  BOOST_TEST(from_half(0x3c00) == 1.0F);
  BOOST_TEST(from_half(0xc000) == -2.0F);
  BOOST_TEST(from_half(0x7bff) == 65504.0F);
  BOOST_TEST(from_half(0x0001) == std::ldexp(1.0F, -24));
  BOOST_TEST(from_half(0x83ff) == -std::ldexp(1023.0F, -24));
  BOOST_TEST(from_half(0x0400) == std::ldexp(1.0F, -14));
  BOOST_TEST(from_half(0x7c00) == std::numeric_limits<float>::infinity());
  BOOST_TEST(std::isnan(from_half(0x7e00)));
  BOOST_TEST(std::signbit(from_half(0x8000)));
  BOOST_TEST(from_bfloat16(0x3f80) == 1.0F);
  BOOST_TEST(from_bfloat16(0xc0a0) == -5.0F);
}

BOOST_AUTO_TEST_CASE(tensors_of_every_float_type_fill_the_flat_buffers) {
  const HostParameters parameters = parameters_from(fitting_file(), small_layout(), "w.safetensors");
  const std::vector<float> weight(parameters.trained.begin(), parameters.trained.begin() + 6);
  BOOST_TEST(weight == (std::vector<float>{1, 2, 3, 4, 5, 6}), boost::test_tools::per_element());
  BOOST_TEST(parameters.trained[15] == 0);  // the gap
  BOOST_TEST(parameters.trained[16] == .5F);
  BOOST_TEST(parameters.trained[18] == 8);
  BOOST_TEST(parameters.statistics[0] == 1);
  BOOST_TEST(parameters.statistics[1] == -2);
  BOOST_TEST(parameters.counters[0] == 42);
}

BOOST_AUTO_TEST_CASE(flat_buffers_become_tensors_in_pytorch_order_and_back) {
  const HostParameters parameters = parameters_from(fitting_file(), small_layout(), "w.safetensors");
  SafetensorsFile content;
  content.tensors = tensors_from(parameters, small_layout());
  std::vector<std::string> names;
  for (const FileTensor& one : content.tensors) names.push_back(one.name);
  BOOST_TEST(
      names == (std::vector<std::string>{"0.weight", "1.weight", "1.running_mean", "1.num_batches_tracked"}),
      boost::test_tools::per_element());
  const HostParameters again = parameters_from(content, small_layout(), "w.safetensors");
  BOOST_TEST((again.trained == parameters.trained));
  BOOST_TEST((again.statistics == parameters.statistics));
  BOOST_TEST((again.counters == parameters.counters));
}

BOOST_AUTO_TEST_CASE(loading_is_strict_about_names_shapes_and_types) {
  BOOST_TEST(load_verdict(fitting_file()) == "loaded");

  SafetensorsFile renamed = fitting_file();
  renamed.tensors[0].name = "0.weigth";
  const std::string missing = load_verdict(renamed);
  BOOST_TEST(contains(missing, "no tensor '0.weight'"), missing);
  BOOST_TEST(contains(missing, "'0.weigth'"), missing);
  BOOST_TEST(contains(missing, "w.safetensors"), missing);

  SafetensorsFile more = fitting_file();
  more.tensors.push_back(tensor<float>("1.bias", DType::f32, {1}, {1}));
  const std::string unexpected = load_verdict(more);
  BOOST_TEST(contains(unexpected, "'1.bias'"), unexpected);
  BOOST_TEST(contains(unexpected, "does not have"), unexpected);

  SafetensorsFile turned = fitting_file();
  turned.tensors[0].shape = {3, 2};
  const std::string shapes = load_verdict(turned);
  BOOST_TEST(contains(shapes, "3×2"), shapes);
  BOOST_TEST(contains(shapes, "2×3"), shapes);

  SafetensorsFile deep = fitting_file();
  deep.tensors[0].shape = {1, 1, 1, 2, 3};  // a rank that no network has
  BOOST_TEST(contains(load_verdict(deep), "1×1×1×2×3"));

  SafetensorsFile whole = fitting_file();
  whole.tensors[0].type = DType::i32;
  BOOST_TEST(contains(load_verdict(whole), "i32"));

  SafetensorsFile counted = fitting_file();
  counted.tensors[3] = tensor<float>("1.num_batches_tracked", DType::f32, {}, {42});
  BOOST_TEST(contains(load_verdict(counted), "i64"));
}

BOOST_AUTO_TEST_CASE(missing_counters_alone_are_read_as_zero) {
  SafetensorsFile old = fitting_file();
  old.tensors.pop_back();
  const HostParameters parameters = parameters_from(old, small_layout(), "w.safetensors");
  BOOST_TEST(parameters.counters.at(0) == 0);
}

BOOST_AUTO_TEST_CASE(a_tensor_whose_bytes_do_not_fit_its_shape_is_not_written) {
  const TemporaryFolder folder;
  SafetensorsFile content = small_file();
  content.tensors[0].bytes.pop_back();
  BOOST_CHECK_THROW(write_safetensors(folder / "a.safetensors", content), Error);
  BOOST_TEST(!fs::exists(folder / "a.safetensors"));
}

BOOST_AUTO_TEST_SUITE_END()
