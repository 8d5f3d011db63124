#include "data/idx_files.h"
#include "descent/data.h"

#include <array>
#include <cstdlib>

namespace descent {

namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 10> fashion_mnist_classes{
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"};
constexpr std::array<std::string_view, 2> fashion_mnist_folders{"/usr/share/datasets/fashion-mnist",
                                                                "~/.local/share/descent/fashion-mnist"};

constexpr std::array<std::string_view, 10> mnist_classes{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
constexpr std::array<std::string_view, 2> mnist_folders{"/usr/share/datasets/mnist",
                                                        "~/.local/share/descent/mnist"};

// Adding a data set of IDX files takes a row here and a page in datasets/.
constexpr std::array<KnownDataSet, 2> known{{
    {"fashion-mnist", "70 000 pictures of clothes, 28×28 grey, 10 classes", fashion_mnist_classes,
     fashion_mnist_folders, "apt-get install dataset-fashion-mnist, or tools/get_dataset fashion-mnist"},
    {"mnist", "70 000 handwritten digits, 28×28 grey, 10 classes", mnist_classes, mnist_folders,
     "tools/get_dataset mnist"},
}};

fs::path expand_home(std::string_view folder) {
  if (!folder.starts_with("~/")) return folder;
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / folder.substr(2);
}

bool holds_files(const fs::path& folder) {
  return !idx_file(folder, "train-images", "idx3").empty();
}

}  // namespace

std::span<const KnownDataSet> known_data_sets() {
  return known;
}

fs::path find_data_set(const KnownDataSet& set) {
  if (const char* own = std::getenv("DESCENT_DATA"); own != nullptr && *own != '\0') {
    const fs::path folder = fs::path(own) / set.name;
    if (holds_files(folder)) return folder;
  }
  for (const std::string_view candidate : set.folders) {
    const fs::path folder = expand_home(candidate);
    if (!folder.empty() && holds_files(folder)) return folder;
  }
  return {};
}

}  // namespace descent
