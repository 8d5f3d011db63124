// Data sets of labelled pictures, held in memory as bytes, and the order in which batches visit them.
#pragma once

#include "descent/device.h"
#include "descent/network.h"
#include "descent/tensor.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace descent {

struct PictureSet {
  Shape shape;                         // C×H×W
  std::vector<std::uint8_t> pictures;  // count × C×H×W
  std::vector<std::int32_t> labels;    // one each, in [0, classes); none where nobody knows them
  std::vector<std::string> files;      // one each, from the data set's folder on; none where files hold several

  [[nodiscard]] std::size_t size() const {  // pictures
    return shape.elements() > 0 ? pictures.size() / static_cast<std::size_t>(shape.elements()) : 0;
  }
  [[nodiscard]] PictureSource source(const Normalisation& normalisation) const {
    return {pictures, labels, shape, &normalisation};
  }
};

struct DataSet {
  std::string name;  // "fashion-mnist", or the folder's name
  std::vector<std::string> classes;
  PictureSet train;
  PictureSet valid;
};

// A data set known by name: where its IDX files may lie, and what its classes are called.
struct KnownDataSet {
  std::string_view name;
  std::string_view summary;
  std::span<const std::string_view> classes;
  std::span<const std::string_view> folders;  // searched in this order, after $DESCENT_DATA/<name>; ~ is $HOME
  std::string_view how_to_get;                // what to type to install it
};
[[nodiscard]] std::span<const KnownDataSet> known_data_sets();
// The folder that holds the files of a known set; empty if none was found.
[[nodiscard]] std::filesystem::path find_data_set(const KnownDataSet& known);

// A known name, a folder of IDX files (train-images-idx3-ubyte[.gz], …, t10k-…), or a folder with one
// sub-folder of pictures a class (in train/ and valid/, val/ or test/ if it has these; else every tenth
// picture of a class, by sorted name, is for validation, of fewer than ten the last), made into `input`
// by the picture rule of picture.h (Resize::fit).
[[nodiscard]] DataSet load_data_set(const std::string& name_or_folder, const Shape& input);

enum class ClassMatch : std::uint8_t {
  by_name,    // or the model has no names
  by_number,  // the data set's classes are called 0, 1, 2, …: each is the model's class in that place
};
// Makes the labels of both parts those of a model of `count` classes, called `names` (none: nobody knows),
// among which those of the data set must be; '/' and '-' are the same, as a folder cannot be called
// "T-shirt/top".
ClassMatch match_classes(DataSet& data, std::span<const std::string> names, std::size_t count);

// IDX files (Y. LeCun's MNIST format), plain or gzip, checked: magic, sizes, lengths.
[[nodiscard]] PictureSet load_idx_pair(const std::filesystem::path& pictures,
                                       const std::filesystem::path& labels);
// One picture file: u8, rank 3 (count×H×W) → shape 1×H×W, no labels.
[[nodiscard]] PictureSet load_idx_pictures(const std::filesystem::path& pictures);

// The order of `count` pictures in an epoch: a Fisher–Yates shuffle whose draws depend on seed, epoch
// and position alone; 0, 1, 2, … if not shuffled.
[[nodiscard]] std::vector<std::uint32_t> epoch_order(std::size_t count, bool shuffle, std::uint64_t seed,
                                                     std::uint32_t epoch);

}  // namespace descent
