#include "report/class_metrics.h"

#include <algorithm>
#include <numeric>

namespace descent::report {

namespace {

double ratio(double part, double whole) {
  return whole > 0 ? part / whole : missing;
}

double row_sum(const std::vector<double>& row) {
  return std::accumulate(row.begin(), row.end(), 0.0);
}

}  // namespace

std::vector<ClassMetrics> class_metrics(const Confusion& confusion) {
  std::vector<ClassMetrics> metrics;
  for (std::size_t k = 0; k < confusion.classes.size(); ++k) {
    const double right = confusion.counts[k][k];
    const double support = row_sum(confusion.counts[k]);
    double said = 0;
    for (const std::vector<double>& row : confusion.counts) said += row[k];
    metrics.push_back({confusion.classes[k], support, ratio(right, said), ratio(right, support),
                       ratio(2 * right, said + support)});
  }
  return metrics;
}

std::vector<Mistake> frequent_mistakes(const Confusion& confusion, std::size_t most) {
  std::vector<Mistake> mistakes;
  for (std::size_t label = 0; label < confusion.classes.size(); ++label) {
    const double support = row_sum(confusion.counts[label]);
    for (std::size_t said = 0; said < confusion.classes.size(); ++said) {
      const double count = confusion.counts[label][said];
      if (label == said || count <= 0) continue;
      mistakes.push_back({confusion.classes[label], confusion.classes[said], count, count / support});
    }
  }
  std::ranges::stable_sort(mistakes, std::ranges::greater{}, &Mistake::count);
  if (mistakes.size() > most) mistakes.resize(most);
  return mistakes;
}

}  // namespace descent::report
