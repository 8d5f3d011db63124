// The learning-rate finder (Smith, "Cyclical learning rates", 2015, with the stopping rule of fast.ai's
// course): a short fit whose rate grows with every step until the loss runs away.
#pragma once

#include "descent/train.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace descent {

struct FinderSettings {
  double gamma = 1.3;       // the rate of step k is start·gammaᵏ
  double max_multiple = 3;  // the search ends when a loss is not a number or above this times the least so far
  double start = 1e-5;
  std::int64_t max_epochs = 10;
};

// The loss of a step before its update, and the rate of that update.
struct FinderRow {
  std::int64_t step = 0;
  double rate = 0;
  double loss = 0;
};

struct RateSuggestion {
  std::optional<double> lowest;    // rate where the smoothed loss is lowest
  std::optional<double> steepest;  // where it falls fastest with log(rate), before that
  std::optional<double>
      suggestion;      // half-way between the two on the log scale; none if the curve says nothing
  std::string reason;  // one sentence
};

struct RateSearch {
  std::vector<FinderRow> rows;
  bool diverged = false;  // the loss ended it, not `max_epochs`
  RateSuggestion answer;
};

// Throws Error naming what is out of range.
void check_finder(const FinderSettings& settings);

// Drives a fit: it ends the fit when the loss runs away and every validation after its first batch.
class RateFinder : public Observer {
 public:
  explicit RateFinder(const FinderSettings& settings) : settings_(settings) {}

  void before_fit(FitState& state) override;
  void after_loss(FitState& state) override;
  void after_step(FitState& state) override;
  void after_batch(FitState& state) override;

  [[nodiscard]] const std::vector<FinderRow>& rows() const { return rows_; }
  [[nodiscard]] bool diverged() const { return diverged_; }

 private:
  FinderSettings settings_;
  std::vector<FinderRow> rows_;
  double least_ = std::numeric_limits<double>::infinity();
  bool diverged_ = false;
};

// The moving average over `window` neighbours, fewer at the ends.
[[nodiscard]] std::vector<double> smoothed(std::span<const double> values, std::size_t window);

// What the curve says. Rows whose loss is not finite are left out.
[[nodiscard]] RateSuggestion suggest_rate(std::span<const FinderRow> rows);

// Searches with the optimizer, batches and seed of `settings`; its rate, epochs, steps and watched layers do
// not count. Weights, statistics and counters are afterwards what they were, bit for bit. `others` watch the
// fit.
[[nodiscard]] RateSearch find_learning_rate(const Network& network, ParameterStore& store, const DataSet& data,
                                            const TrainSettings& settings, const FinderSettings& finder,
                                            std::span<Observer* const> others = {});

}  // namespace descent
