// The plan cache: how long each implementation took for each shape on this machine. Choices follow from
// these numbers alone, so whoever has the same numbers makes the same choices and gets the same bits.
#pragma once

#include "base/seconds.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace descent {

class Measurements {
 public:
  struct Settings {
    std::string machine;               // processor, threads, library version, …: the cache's key
    std::filesystem::path plan_file;   // numbers to repeat, wherever they were taken; empty: none
    std::filesystem::path cache_file;  // empty: no cache
    std::function<void(const std::string&)> tell{};  // after a second of measuring, then every ten
    std::function<double()> now = seconds_now;
  };

  // Reads the plan file (Error if it cannot be read or is no plan), or else the cache, which may be missing,
  // unreadable, broken or of another machine without harm.
  explicit Measurements(Settings settings);

  // Work that takes `share` times as long as what is recorded under `key`.
  struct Likeness {
    std::string key;
    double share = 1;
  };

  // Seconds of `key`: following from what it is like, if that is recorded, or as recorded itself, or measured
  // now. In this order, so that the same run finds the same whatever others have measured since. The first
  // measurement waits for other processes that measure on this machine, takes what they have found, and keeps
  // them waiting until save().
  double seconds(const std::string& key, const std::function<double()>& measure,
                 const std::optional<Likeness>& like = std::nullopt);

  // The names under `key`, in the same order: on this very machine recorded, or listed now. What a
  // library offers is asked for once, because asking takes as long as everything else that a start does.
  const std::vector<std::string>& names(const std::string& key,
                                        const std::function<std::vector<std::string>()>& list,
                                        const std::optional<Likeness>& like = std::nullopt);

  // Writes new numbers to the cache, as is done every ten seconds of measuring, and lets others measure.
  // Failing to write does no harm.
  void save();

  // The numbers asked for so far, as a plan file.
  [[nodiscard]] std::string text() const;

 private:
  // Held while measuring; released by the destructor.
  class Lock {
   public:
    explicit Lock(const std::filesystem::path& file);
    Lock(Lock&& other) noexcept;
    Lock& operator=(Lock&&) = delete;
    ~Lock();

   private:
    int descriptor_;
  };

  using Names = std::map<std::string, std::vector<std::string>>;

  void merge_cache();
  std::optional<double> recorded(const std::string& key, const std::optional<Likeness>& like);
  // Of measuring; now and then tells of it, and writes what was found: who loses patience keeps it.
  void count(double seconds);
  void write_cache();

  Settings settings_;
  std::map<std::string, double> known_;
  std::map<std::string, double> used_;
  Names known_names_;
  Names used_names_;
  bool changed_ = false;
  double spent_ = 0;  // seconds, on measuring
  double tell_at_ = 1;
  int measured_ = 0;
  std::optional<Lock> lock_;
};

// $XDG_CACHE_HOME/descent or ~/.cache/descent; empty if the user has neither.
[[nodiscard]] std::filesystem::path plan_cache_folder();
// The cache file of a machine in that folder: its name is a hash of the machine's description.
[[nodiscard]] std::filesystem::path plan_cache_file(const std::string& machine);
// For `descent doctor`: where the folder is and whether it can be written. Leaves nothing behind.
[[nodiscard]] std::string plan_cache_text();

}  // namespace descent
