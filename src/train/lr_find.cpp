#include "descent/lr_find.h"

#include "descent/error.h"

#include <fmt/format.h>

#include <cmath>
#include <exception>
#include <utility>

namespace descent {

namespace {

TrainSettings search_settings(const TrainSettings& settings, const FinderSettings& finder) {
  TrainSettings search = settings;
  search.epochs = finder.max_epochs;
  search.steps = 0;
  search.watch.clear();
  return search;
}

}  // namespace

void check_finder(const FinderSettings& settings) {
  const auto require = [](bool condition, const char* what, double value) {
    if (!condition) throw Error(fmt::format("the learning-rate finder's {} and not {}", what, value));
  };
  constexpr double limit = 1e30;
  require(settings.gamma > 1 && settings.gamma < limit, "gamma must be above 1", settings.gamma);
  require(settings.max_multiple > 1 && settings.max_multiple < limit, "largest multiple must be above 1",
          settings.max_multiple);
  require(settings.start > 0 && settings.start < limit, "first rate must be above 0", settings.start);
  require(settings.max_epochs > 0, "number of epochs must be at least 1",
          static_cast<double>(settings.max_epochs));
}

void RateFinder::before_fit(FitState& state) {
  state.learning_rate = settings_.start;
  rows_.clear();
  least_ = std::numeric_limits<double>::infinity();
  diverged_ = false;
}

void RateFinder::after_loss(FitState& state) {
  if (!state.training) return;
  const double loss = state.batch_loss;
  rows_.push_back({state.step, state.learning_rate, loss});
  if (loss < least_) least_ = loss;
  // Here and not after the step: a loss that is not finite would end the fit with an error.
  if (!std::isfinite(loss) || loss > settings_.max_multiple * least_) {
    diverged_ = true;
    throw Cancel{Scope::fit};
  }
}

void RateFinder::after_step(FitState& state) {
  state.learning_rate *= settings_.gamma;
}

void RateFinder::after_batch(FitState& state) {
  if (!state.training) throw Cancel{Scope::epoch};
}

RateSearch find_learning_rate(const Network& network, ParameterStore& store, const DataSet& data,
                              const TrainSettings& settings, const FinderSettings& finder,
                              std::span<Observer* const> others) {
  check_finder(finder);
  const HostParameters kept = store.download();
  RateFinder searcher(finder);
  std::vector<Observer*> observers{&searcher};
  observers.insert(observers.end(), others.begin(), others.end());
  try {
    fit(network, store, data, search_settings(settings, finder), observers);
  } catch (...) {
    try {
      store.upload(kept);
    } catch (const std::exception&) {  // what ended the search says why
    }
    throw;
  }
  store.upload(kept);
  return {searcher.rows(), searcher.diverged(), suggest_rate(searcher.rows())};
}

}  // namespace descent
