// How well each class is recognised, out of the confusion matrix.
#pragma once

#include "report/run_files.h"

#include <string>
#include <vector>

namespace descent::report {

struct ClassMetrics {
  std::string name;
  double support = 0;          // pictures of this class
  double precision = missing;  // of those said to be of this class, the share that is; missing if none was
  double recall = missing;     // of this class, the share that was said to be; missing if there is none
  double f1 = missing;         // 2·precision·recall / (precision + recall) = 2·right / (said + support)
};

[[nodiscard]] std::vector<ClassMetrics> class_metrics(const Confusion& confusion);

struct Mistake {
  std::string label;
  std::string said;
  double count = 0;
  double share = 0;  // of the label's pictures
};

// Pairs of classes that were taken for one another, most frequent first, at most `most`.
[[nodiscard]] std::vector<Mistake> frequent_mistakes(const Confusion& confusion, std::size_t most);

}  // namespace descent::report
