#include "data/picture_folder.h"

#include "base/files.h"
#include "data/make_inputs.h"
#include "descent/error.h"
#include "descent/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <system_error>
#include <utility>

namespace descent {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t every = 10;  // one picture in ten is for validation

// What file managers and notebooks leave behind.
bool is_litter(const std::string& name) {
  return name.starts_with('.') || name == "Thumbs.db" || name == "desktop.ini" || name == "__MACOSX";
}

bool is_other_picture(const fs::path& file) {
  constexpr std::array<std::string_view, 8> endings{".gif",  ".webp", ".tif",  ".tiff",
                                                    ".avif", ".heic", ".heif", ".jxl"};
  return std::ranges::find(endings, lower_case_ending(file)) != endings.end();
}

// Sorted by name, without litter. Links are followed.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (!is_litter(entry->path().filename().string())) entries.push_back(entry->path());
  }
  if (error) throw Error(fmt::format("cannot read the folder '{}': {}", folder.string(), error.message()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<fs::path> folders_in(const fs::path& folder) {
  std::vector<fs::path> entries = entries_of(folder);
  std::erase_if(entries, [](const fs::path& entry) { return !is_folder(entry); });
  return entries;
}

std::vector<std::string> names_of(const std::vector<fs::path>& paths) {
  std::vector<std::string> names;
  for (const fs::path& path : paths) names.push_back(path.filename().string());
  return names;
}

std::vector<fs::path> pictures_in(const fs::path& folder) {
  std::vector<fs::path> pictures;
  for (const fs::path& entry : entries_of(folder)) {
    if (is_folder(entry)) {
      throw Error(fmt::format("'{}' is a folder inside the class folder '{}': pictures must lie directly in it",
                              entry.string(), folder.string()));
    }
    if (is_other_picture(entry)) {
      throw Error(fmt::format("'{}' is not a JPEG, PNG or BMP picture: convert or remove it", entry.string()));
    }
    if (looks_like_picture(entry)) pictures.push_back(entry);
  }
  if (pictures.empty()) {
    throw Error(fmt::format("the class folder '{}' has no JPEG, PNG or BMP picture", folder.string()));
  }
  return pictures;
}

struct LabelledFiles {
  std::vector<fs::path> files;
  std::vector<std::int32_t> labels;

  void add(const fs::path& file, std::size_t label) {
    files.push_back(file);
    labels.push_back(static_cast<std::int32_t>(label));
  }
};

LabelledFiles files_of(const std::vector<fs::path>& class_folders) {
  LabelledFiles labelled;
  for (std::size_t label = 0; label < class_folders.size(); ++label) {
    for (const fs::path& file : pictures_in(class_folders[label])) labelled.add(file, label);
  }
  return labelled;
}

struct Split {
  LabelledFiles train;
  LabelledFiles valid;
};

Split split(const std::vector<fs::path>& class_folders) {
  Split result;
  for (std::size_t label = 0; label < class_folders.size(); ++label) {
    const std::vector<fs::path> files = pictures_in(class_folders[label]);
    const std::size_t step = std::clamp<std::size_t>(files.size(), 2, every);
    for (std::size_t i = 0; i < files.size(); ++i) {
      (i % step == step - 1 ? result.valid : result.train).add(files[i], label);
    }
  }
  return result;
}

void check_classes(const fs::path& folder, const std::vector<fs::path>& classes) {
  if (classes.size() < 2) {
    throw Error(
        fmt::format("'{}' has {}: a data set is a folder with IDX files, or with one sub-folder of "
                    "pictures for each of two or more classes",
                    folder.string(), classes.empty() ? "no sub-folder" : "only one sub-folder"));
  }
}

void check_same_classes(const fs::path& train, const fs::path& valid, const std::vector<std::string>& trained,
                        const std::vector<std::string>& validated) {
  const auto missing_in = [](const std::vector<std::string>& from, const std::vector<std::string>& in) {
    return std::find_if(from.begin(), from.end(), [&in](const std::string& name) {
      return std::find(in.begin(), in.end(), name) == in.end();
    });
  };
  if (const auto name = missing_in(trained, validated); name != trained.end()) {
    throw Error(fmt::format("'{}' has the class '{}' but '{}' has not", train.string(), *name, valid.string()));
  }
  if (const auto name = missing_in(validated, trained); name != validated.end()) {
    throw Error(fmt::format("'{}' has the class '{}' but '{}' has not", valid.string(), *name, train.string()));
  }
}

// The validation folder beside train/; empty if there is none.
fs::path validation_folder(const fs::path& folder) {
  for (const char* name : {"valid", "val", "test"}) {
    if (is_folder(folder / name)) return folder / name;
  }
  return {};
}

PictureSet read_all(LabelledFiles labelled, const Shape& input, const fs::path& folder,
                    std::uint64_t most_bytes) {
  PictureSet set;
  set.shape = input;
  set.pictures = make_inputs(
      labelled.files.size(), input, [&labelled](std::size_t i) { return read_picture(labelled.files[i]); },
      folder.string(), most_bytes);
  set.labels = std::move(labelled.labels);
  set.files.reserve(labelled.files.size());
  for (const fs::path& file : labelled.files)
    set.files.push_back(file.lexically_relative(folder).generic_string());
  return set;
}

}  // namespace

DataSet load_picture_folder(const fs::path& folder, const Shape& input, std::uint64_t most_bytes) {
  std::vector<fs::path> classes = folders_in(folder);
  Split files;
  const fs::path train = folder / "train";
  const fs::path valid = validation_folder(folder);
  if (is_folder(train) && !valid.empty()) {
    classes = folders_in(train);
    check_classes(train, classes);
    const std::vector<fs::path> valid_classes = folders_in(valid);
    check_same_classes(train, valid, names_of(classes), names_of(valid_classes));
    files = {files_of(classes), files_of(valid_classes)};
  } else {
    if (classes.size() == 1 && is_folder(train)) classes = folders_in(train);
    check_classes(folder, classes);
    files = split(classes);
  }
  DataSet set;
  set.classes = names_of(classes);
  const auto each = static_cast<std::uint64_t>(input.elements());
  const std::uint64_t taken_by_valid = files.valid.files.size() * each;
  set.valid = read_all(std::move(files.valid), input, folder, most_bytes);
  set.train = read_all(std::move(files.train), input, folder, most_bytes - taken_by_valid);
  return set;
}

}  // namespace descent
