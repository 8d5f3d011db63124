#include "cli/pictures.h"

#include "descent/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <utility>

namespace descent::cli {

namespace fs = std::filesystem;

namespace {

// By content: IDX files begin with two zero bytes, gzip files with 1f 8b; no picture does.
bool is_idx(const fs::path& file) {
  std::array<char, 2> start{};
  std::ifstream stream(file, std::ios::binary);
  stream.read(start.data(), start.size());
  const bool gzip = start[0] == '\x1f' && start[1] == '\x8b';
  return stream && (gzip || (start[0] == 0 && start[1] == 0));
}

std::vector<fs::path> pictures_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && looks_like_picture(entry.path())) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  if (files.empty())
    throw Error(fmt::format("the folder '{}' holds no pictures (jpg, png, bmp)", folder.string()));
  return files;
}

void append(std::vector<PictureItem>& items, const std::string& argument) {
  std::error_code error;
  if (fs::is_directory(argument, error)) {
    for (const fs::path& file : pictures_in(argument)) items.push_back({file.string(), nullptr, 0, ""});
  } else if (is_idx(argument)) {
    const auto set = std::make_shared<const PictureSet>(load_idx_pictures(argument));
    for (std::size_t i = 0; i < set->size(); ++i)
      items.push_back({fmt::format("{}#{}", argument, i), set, i, ""});
  } else {
    items.push_back({argument, nullptr, 0, ""});
  }
}

}  // namespace

std::vector<std::uint8_t> PictureItem::input(const Shape& shape, const PictureRule& rule) const {
  if (!problem.empty()) throw Error(problem);
  if (set == nullptr) return to_input(read_picture(name), shape, rule);
  const auto bytes = static_cast<std::size_t>(set->shape.elements());
  const auto begin = set->pictures.begin() + static_cast<std::ptrdiff_t>(index * bytes);
  const Picture picture{.height = set->shape[1],
                        .width = set->shape[2],
                        .channels = 1,
                        .bytes = {begin, begin + static_cast<std::ptrdiff_t>(bytes)}};
  return to_input(picture, shape, rule);
}

std::vector<PictureItem> list_pictures(const std::vector<std::string>& arguments) {
  std::vector<PictureItem> items;
  for (const std::string& argument : arguments) {
    try {
      append(items, argument);
    } catch (const Error& error) {
      items.push_back({argument, nullptr, 0, error.what()});
    } catch (const fs::filesystem_error& error) {
      items.push_back({argument, nullptr, 0,
                       fmt::format("cannot read the folder '{}': {}", argument, error.code().message())});
    }
  }
  return items;
}

}  // namespace descent::cli
