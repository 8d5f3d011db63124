// Everything that watches, records or steers a run of `descent train`, in the order in which it is called.
#pragma once

#include "cli/run_settings.h"
#include "descent/data.h"
#include "descent/device.h"
#include "descent/network.h"
#include "descent/train.h"
#include "train/statistics.h"

#include <filesystem>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace descent::cli {

struct ObserverChoice {
  bool quiet = false;        // no progress
  bool tensorboard = false;  // an event file too
};

class RunObservers {
 public:
  // All references but `start` must outlive the observers; that says where the run is taken up: what its files
  // hold up to there stays.
  RunObservers(const std::filesystem::path& folder, const RunSettings& run, const Network& network,
               const DataSet& data, const Device& device, const ObserverChoice& choice,
               const FitPosition& start = {});

  [[nodiscard]] std::span<Observer* const> list() const { return list_; }

 private:
  template <class Kind, class... Arguments>
  Kind& add(Arguments&&... arguments) {
    auto made = std::make_unique<Kind>(std::forward<Arguments>(arguments)...);
    Kind& observer = *made;
    list_.push_back(made.get());
    owned_.push_back(std::move(made));
    return observer;
  }
  // `more` gets what the files get.
  void look_inside(const std::filesystem::path& folder, const Network& network, std::int64_t first_step,
                   StatisticsObserver::Sink more);

  std::vector<std::unique_ptr<Observer>> owned_;
  std::vector<Observer*> list_;
};

}  // namespace descent::cli
