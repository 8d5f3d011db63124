#include "cli/cli.h"

#include "base/names.h"
#include "descent/error.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <utility>

namespace descent::cli {

std::int64_t parse_count(std::string_view option, const std::string& text, std::int64_t low,
                         std::int64_t high) {
  std::int64_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size() && !text.empty();
  if (fault == std::errc::invalid_argument || !whole) {
    throw Error(fmt::format("{} takes a whole number, not '{}'", option, text));
  }
  if (fault == std::errc::result_out_of_range || value < low || value > high) {
    if (high == std::numeric_limits<std::int64_t>::max()) {
      throw Error(
          fmt::format("{} must be a whole number of at least {} that fits 63 bits, not {}", option, low, text));
    }
    throw Error(fmt::format("{} must be a whole number from {} to {}, not {}", option, low, high, text));
  }
  return value;
}

double parse_number(std::string_view option, const std::string& text, bool positive) {
  double value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = end == text.data() + text.size() && !text.empty();
  if (fault == std::errc::invalid_argument || !whole) {
    throw Error(fmt::format("{} takes a number, not '{}'", option, text));
  }
  // Settings end up in 32-bit arithmetic: what does not fit there cannot be meant.
  constexpr double limit = 1e30;
  if (fault == std::errc::result_out_of_range || !std::isfinite(value) || std::abs(value) >= limit) {
    throw Error(fmt::format("{} must be a finite number below 1e30, not {}", option, text));
  }
  if (value < 0 || (positive && value == 0)) {
    throw Error(fmt::format("{} must be {}, not {}", option, positive ? "above 0" : "0 or more", text));
  }
  return value;
}

std::size_t parse_choice(std::string_view option, const std::string& text,
                         std::span<const std::string_view> choices) {
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] == text) return i;
  }
  throw Error(unknown_name(fmt::format("value of {}", option), text, choices));
}

std::string parse_device(std::string_view option, const std::string& text) {
  try {
    check_device_name(text);
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", option, error.what()));
  }
  return text;
}

namespace {
constexpr std::array<std::string_view, 3> kernel_names{"auto", "library", "own"};  // in the order of Kernels
}

Kernels parse_kernels(std::string_view option, const std::string& text) {
  if (text == "onednn") return Kernels::library;  // the CPU's library, by name
  return static_cast<Kernels>(parse_choice(option, text, kernel_names));
}

std::string_view name(Kernels kernels) {
  return kernel_names.at(static_cast<std::size_t>(kernels));
}

CLI::Option* add_value(CLI::App& verb, const std::string& name, const std::string& type,
                       const std::string& help, const std::string& standard,
                       const std::function<void(const std::string&)>& take) {
  const std::string text = standard.empty() ? help : fmt::format("{} (default: {})", help, standard);
  return verb.add_option_function<std::string>(name, take, text)
      ->type_name(type)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void show(std::FILE* stream, const std::string& text) {
  std::fputs(text.c_str(), stream);
  std::fflush(stream);
}

void warn(const std::string& sentence) {
  show(stderr, fmt::format("descent: warning: {}\n", sentence));
}

void DeviceArguments::set_precision(std::string_view option, const std::string& text) {
  static constexpr std::array<std::string_view, 3> choices{"f32", "tf32", "bf16"};
  const std::string_view choice = choices.at(parse_choice(option, text, choices));
  precision = choice == "bf16" ? DType::bf16 : DType::f32;
  options.tf32 = choice == "tf32";
}

std::string_view DeviceArguments::precision_name() const {
  return options.tf32 ? "tf32" : name(precision);
}

std::unique_ptr<Device> DeviceArguments::make() const {
  DeviceOptions telling = options;
  telling.warn = warn;
  telling.tell = [](const std::string& sentence) { show(stderr, fmt::format("descent: {}\n", sentence)); };
  return make_device(device, telling);
}

void add_device_options(CLI::App& verb, DeviceArguments& arguments) {
  add_value(verb, "--device", "NAME", "where to compute: see 'descent list devices'", arguments.device,
            [&arguments](const std::string& text) { arguments.device = parse_device("--device", text); });
  add_value(verb, "--threads", "N", "threads", "the cores that affinity and the cgroup quota give",
            [&arguments](const std::string& text) {
              arguments.options.threads = static_cast<int>(parse_count("--threads", text, 1, 4096));
            });
  add_value(verb, "--precision", "TYPE", std::string(precision_help), "f32",
            [&arguments](const std::string& text) { arguments.set_precision("--precision", text); });
  add_value(
      verb, "--kernels", "WHOSE", std::string(kernels_help), "auto",
      [&arguments](const std::string& text) { arguments.options.kernels = parse_kernels("--kernels", text); });
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole >= 3600) return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace descent::cli
