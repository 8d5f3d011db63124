// Helpers for messages: the nearest right name, lists of names.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace descent {

// The candidate with the smallest edit distance to `name`, if it is near enough to be meant, else the first
// that has `name` in it; else empty.
[[nodiscard]] std::string_view nearest_name(std::string_view name,
                                            std::span<const std::string_view> candidates);

// "unknown optimizer 'adm': did you mean 'adam'?" or "…: known are a, b, c"
[[nodiscard]] std::string unknown_name(std::string_view kind, std::string_view name,
                                       std::span<const std::string_view> candidates);

// A name from a file as a message may show it: not too long, and without control characters.
[[nodiscard]] std::string shown(std::string_view name);

// True if `name` matches the glob `pattern`: * any run of characters, ? any one.
[[nodiscard]] bool matches_glob(std::string_view pattern, std::string_view name);

}  // namespace descent
