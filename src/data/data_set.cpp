#include "base/names.h"
#include "data/idx_files.h"
#include "data/make_inputs.h"
#include "data/picture_folder.h"
#include "descent/data.h"
#include "descent/error.h"
#include "descent/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <system_error>
#include <utility>

namespace descent {

namespace fs = std::filesystem;

namespace {

bool is_idx_folder(const fs::path& folder) {
  return !idx_file(folder, "train-images", "idx3").empty() ||
         !idx_file(folder, "train-labels", "idx1").empty() ||
         !idx_file(folder, "t10k-images", "idx3").empty() || !idx_file(folder, "t10k-labels", "idx1").empty();
}

fs::path required_idx_file(const fs::path& folder, std::string_view stem, std::string_view type) {
  const fs::path file = idx_file(folder, stem, type);
  if (file.empty()) throw Error(fmt::format("'{}' has no {}-{}-ubyte[.gz]", folder.string(), stem, type));
  return file;
}

struct IdxPart {
  PictureSet set;
  fs::path labels;  // for messages
};

IdxPart read_part(const fs::path& folder, const std::string& part) {
  const fs::path pictures = required_idx_file(folder, part + "-images", "idx3");
  fs::path labels = required_idx_file(folder, part + "-labels", "idx1");
  return {load_idx_pair(pictures, labels), std::move(labels)};
}

void check_labels(const IdxPart& part, std::size_t classes) {
  const auto wrong =
      std::find_if(part.set.labels.begin(), part.set.labels.end(),
                   [classes](std::int32_t label) { return static_cast<std::size_t>(label) >= classes; });
  if (wrong != part.set.labels.end()) {
    throw Error(fmt::format("'{}' has the label {} at position {}, but there are {} classes",
                            part.labels.string(), *wrong, wrong - part.set.labels.begin(), classes));
  }
}

// A folder called as a known set has its class names; any other names its classes by number.
std::vector<std::string> class_names(const KnownDataSet* known, const PictureSet& train) {
  if (known != nullptr) return {known->classes.begin(), known->classes.end()};
  const std::int32_t most = *std::max_element(train.labels.begin(), train.labels.end());
  std::vector<std::string> names;
  for (std::int32_t label = 0; label <= most; ++label) names.push_back(std::to_string(label));
  return names;
}

PictureSet fitted(PictureSet set, const Shape& input, const std::string& source, std::uint64_t most_bytes) {
  if (set.shape == input) return set;
  const auto each = static_cast<std::size_t>(set.shape.elements());
  const auto picture = [&set, each](std::size_t i) {
    const auto begin = set.pictures.begin() + static_cast<std::ptrdiff_t>(i * each);
    return Picture{.height = set.shape[1],
                   .width = set.shape[2],
                   .channels = 1,
                   .bytes = {begin, begin + static_cast<std::ptrdiff_t>(each)}};
  };
  PictureSet result;
  result.shape = input;
  result.pictures = make_inputs(set.size(), input, picture, source, most_bytes);
  result.labels = std::move(set.labels);
  return result;
}

DataSet load_idx_folder(const fs::path& folder, const KnownDataSet* known, const Shape& input) {
  // Inflating takes one core a file.
  std::future<IdxPart> second = std::async(std::launch::async, read_part, folder, "t10k");
  IdxPart train = read_part(folder, "train");
  IdxPart valid = second.get();
  if (train.set.shape != valid.set.shape) {
    throw Error(fmt::format("'{}' has pictures of {} for training and of {} for validation", folder.string(),
                            to_string(train.set.shape), to_string(valid.set.shape)));
  }
  DataSet set;
  set.classes = class_names(known, train.set);
  check_labels(train, set.classes.size());
  check_labels(valid, set.classes.size());
  const std::uint64_t most_bytes = most_data_set_bytes();
  set.valid = fitted(std::move(valid.set), input, folder.string(), most_bytes);
  set.train = fitted(std::move(train.set), input, folder.string(),
                     most_bytes - std::min<std::uint64_t>(most_bytes, set.valid.pictures.size()));
  return set;
}

const KnownDataSet* known_set(std::string_view name) {
  const std::span<const KnownDataSet> sets = known_data_sets();
  const auto found =
      std::find_if(sets.begin(), sets.end(), [name](const KnownDataSet& set) { return set.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

std::string folder_name(const fs::path& folder) {
  std::error_code error;
  const fs::path absolute = fs::weakly_canonical(folder, error);
  const fs::path name = (error ? folder : absolute).filename();
  return name.empty() ? "data" : name.string();
}

DataSet load_folder(const fs::path& folder, const Shape& input) {
  const std::string name = folder_name(folder);
  DataSet set = is_idx_folder(folder) ? load_idx_folder(folder, known_set(name), input)
                                      : load_picture_folder(folder, input, most_data_set_bytes());
  set.name = name;
  return set;
}

[[noreturn]] void refuse(const std::string& name, const KnownDataSet* known) {
  std::error_code error;
  if (known != nullptr) {
    throw Error(
        fmt::format("the data set '{}' is not installed: {} (or set DESCENT_DATA to the folder that "
                    "holds its folder)",
                    name, known->how_to_get));
  }
  if (fs::exists(name, error))
    throw Error(fmt::format("'{}' is a file: a data set is a known name or a folder", name));
  if (name.find('/') != std::string::npos) throw Error(fmt::format("there is no folder '{}'", name));
  std::vector<std::string_view> names;
  for (const KnownDataSet& set : known_data_sets()) names.push_back(set.name);
  throw Error(unknown_name("data set", name, names) + " (there is no folder of that name)");
}

}  // namespace

DataSet load_data_set(const std::string& name_or_folder, const Shape& input) {
  if (name_or_folder.empty()) throw Error("the name of the data set is empty");
  const KnownDataSet* known = known_set(name_or_folder);
  if (known != nullptr) {
    if (const fs::path folder = find_data_set(*known); !folder.empty()) {
      DataSet set = load_idx_folder(folder, known, input);
      set.name = known->name;
      return set;
    }
  }
  std::error_code error;
  if (!fs::is_directory(name_or_folder, error)) refuse(name_or_folder, known);
  return load_folder(name_or_folder, input);
}

}  // namespace descent
