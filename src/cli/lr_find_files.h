// What a search for a learning rate leaves in a folder.
#pragma once

#include "descent/lr_find.h"
#include "report/page.h"

#include <filesystem>
#include <string>

namespace descent::cli {

struct FinderFacts {
  FinderSettings settings;
  std::string optimizer;
  std::string data;
  std::string model;
};

// The loss against the rate, unsmoothed, the suggestion as a mark.
[[nodiscard]] report::Page finder_page(const RateSearch& search, const FinderFacts& facts);

// lr_find.csv, lr_find.json and lr-find.html.
void write_finder_files(const std::filesystem::path& folder, const RateSearch& search,
                        const FinderFacts& facts);

}  // namespace descent::cli
