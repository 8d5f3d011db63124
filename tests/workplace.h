// A folder in which tests of the program run it, with a small data set and network.
#pragma once

#include "program.h"
#include "temporary_folder.h"

#include <sys/wait.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace descent::test {

struct Ending {
  int code = 0;
  std::string output;  // standard output
  std::string errors;  // standard error
};

inline bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// One sentence on standard error, in one line, that holds every part; nothing on standard output.
inline void check_refused(const Ending& outcome, const std::vector<std::string>& parts, int code = 2) {
  BOOST_TEST(outcome.code == code, outcome.code << ": " << outcome.errors);
  BOOST_TEST(outcome.errors.starts_with("descent: "), outcome.errors);
  BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1, outcome.errors);
  for (const std::string& part : parts)
    BOOST_TEST(holds(outcome.errors, part), outcome.errors << " lacks " << part);
  if (code == 2) BOOST_TEST(outcome.output.empty(), outcome.output);
}

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>((value >> static_cast<unsigned>(shift)) & 0xFFU);
  return bytes;
}

inline constexpr std::uint32_t side = 6;

// IDX files of pictures whose left or right half is bright.
inline void write_part(const std::filesystem::path& folder, const std::string& part, std::uint32_t count) {
  std::string pictures = big_endian(0x803) + big_endian(count) + big_endian(side) + big_endian(side);
  std::string labels = big_endian(0x801) + big_endian(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const bool right = i % 2 == 1;
    labels += static_cast<char>(right ? 1 : 0);
    for (std::uint32_t pixel = 0; pixel < side * side; ++pixel) {
      const bool bright = (pixel % side >= side / 2) == right;
      pictures += static_cast<char>((bright ? 90U : 10U) + (i * 7 + pixel * 5) % 30);
    }
  }
  write_text(folder / (part + "-images-idx3-ubyte"), pictures);
  write_text(folder / (part + "-labels-idx1-ubyte"), labels);
}

inline constexpr auto network_text = R"(
name = "tiny"
input = [1, 6, 6]
classes = 10
normalisation = { mean = [0.2], std = [0.2] }
layers = [
  { name = "0", op = "conv", out = 4, padding = 1 },
  { name = "1", op = "batch_norm" },
  { name = "2", op = "general_relu", leak = 0.1, sub = 0.4 },
  { name = "3", op = "flatten" },
  { name = "4", op = "linear", out = "$classes" },
]
)";

// A folder with a data set "halves" (20 and 6 pictures), a network "tiny.toml" and a plan cache of its own.
class Workplace {
 public:
  Workplace() {
    std::filesystem::create_directory(folder_ / "halves");
    write_part(folder_ / "halves", "train", 20);
    write_part(folder_ / "halves", "t10k", 6);
    write_text(folder_ / "tiny.toml", network_text);
  }

  // `environment`: "NAME=value"
  [[nodiscard]] Ending run(const std::string& arguments, const std::string& environment = "") const {
    const std::string command = "cd '" + folder_.path().string() + "' && XDG_CACHE_HOME='" +
                                (folder_ / "cache").string() + "' " + environment + " '" DESCENT_PROGRAM "' " +
                                arguments + " >stdout.txt 2>stderr.txt";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text(folder_ / "stdout.txt"),
            without_waiting(read_text(folder_ / "stderr.txt"))};
  }
  [[nodiscard]] Ending train(const std::string& arguments) const {
    return run("train --data halves --model tiny.toml --batch-size 8 --threads 1 " + arguments);
  }

  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }
  [[nodiscard]] std::vector<std::string> lines(const std::string& file) const {
    std::vector<std::string> all;
    std::string text = read_text(folder_ / file);
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      all.push_back(text.substr(0, end));
      text.erase(0, end == std::string::npos ? end : end + 1);
    }
    return all;
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace descent::test
