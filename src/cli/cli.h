// What the verbs share: reading option values with errors that name the option, and the device options.
#pragma once

#include "descent/device.h"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace descent::cli {

// Each takes the option's name ("--lr") for its errors.
[[nodiscard]] std::int64_t parse_count(std::string_view option, const std::string& text, std::int64_t low = 1,
                                       std::int64_t high = std::numeric_limits<std::int64_t>::max());
// A finite number; `positive`: above 0, else at least 0.
[[nodiscard]] double parse_number(std::string_view option, const std::string& text, bool positive);
// One of `choices`, as its index.
[[nodiscard]] std::size_t parse_choice(std::string_view option, const std::string& text,
                                       std::span<const std::string_view> choices);
[[nodiscard]] std::string parse_device(std::string_view option, const std::string& text);  // "cpu", "cuda:1"
inline constexpr std::string_view precision_help =
    "f32; tf32: the same, but NVIDIA's libraries may round what they multiply; or bf16 for activations, "
    "where it is faster, while weights and sums stay f32";
[[nodiscard]] Kernels parse_kernels(std::string_view option, const std::string& text);  // "auto"
[[nodiscard]] std::string_view name(Kernels kernels);
inline constexpr std::string_view kernels_help =
    "whose kernels compute: auto (the faster), library (oneDNN, cuDNN; onednn says the same) or own";

// An option that takes one value (the last one given counts); `standard` is what --help shows as default.
CLI::Option* add_value(CLI::App& verb, const std::string& name, const std::string& type,
                       const std::string& help, const std::string& standard,
                       const std::function<void(const std::string&)>& take);

// --device, --threads, --precision, --kernels.
struct DeviceArguments {
  std::string device = default_device_name();
  DeviceOptions options;
  DType precision = DType::f32;  // of activations

  void set_precision(std::string_view option, const std::string& text);  // "f32", "tf32", "bf16"
  [[nodiscard]] std::string_view precision_name() const;
  [[nodiscard]] std::unique_ptr<Device> make() const;  // its warnings go to standard error
};
void add_device_options(CLI::App& verb, DeviceArguments& arguments);

// Text that only shows how things go, at once: a stream that takes no more does not end them.
void show(std::FILE* stream, const std::string& text);
// "descent: warning: …" on standard error.
void warn(const std::string& sentence);

// "seconds" as people read them: "0:07", "12:45", "1:02:03".
[[nodiscard]] std::string clock_text(double seconds);

}  // namespace descent::cli
