#include "plan/measurements.h"

#include "base/files.h"
#include "descent/error.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

namespace descent {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view format_name = "descent plan 1";
constexpr std::size_t size_limit = std::size_t{64} << 20U;

struct PlanFile {
  std::string machine;
  std::map<std::string, double> seconds;
  std::map<std::string, std::vector<std::string>> names;
};

// Throws nlohmann's errors, or Error, if the text is no plan.
PlanFile parse(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  if (json.at("format").get<std::string>() != format_name)
    throw Error("its format is not '" + std::string(format_name) + "'");
  PlanFile plan{json.at("machine").get<std::string>(), {}, {}};
  for (const auto& [key, value] : json.at("seconds").items()) {
    const double seconds = value.get<double>();
    if (!(seconds >= 0)) throw Error("the time of '" + key + "' is not a number of seconds");
    plan.seconds.emplace(key, seconds);
  }
  if (json.contains("names")) json.at("names").get_to(plan.names);
  return plan;
}

std::string print(const std::string& machine, const std::map<std::string, double>& seconds,
                  const std::map<std::string, std::vector<std::string>>& names) {
  const nlohmann::json json{
      {"format", format_name}, {"machine", machine}, {"seconds", seconds}, {"names", names}};
  return json.dump(1) + "\n";
}

}  // namespace

Measurements::Lock::Lock(const fs::path& file)
    : descriptor_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  // Bounded: who holds the lock may hang, and all that waiting buys is a quieter machine.
  constexpr auto pause = std::chrono::milliseconds(20);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (descriptor_ >= 0 && ::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() > deadline) break;
    std::this_thread::sleep_for(pause);
  }
}

Measurements::Lock::Lock(Lock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

Measurements::Lock::~Lock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Measurements::Measurements(Settings settings) : settings_(std::move(settings)) {
  if (settings_.plan_file.empty()) {
    merge_cache();
    return;
  }
  std::string text;
  try {
    text = read_file(settings_.plan_file, size_limit);
  } catch (const Error& error) {
    throw Error(std::string("the plan to repeat: ") + error.what() +
                "; without the setting 'plan' times are taken anew");
  }
  try {
    PlanFile plan = parse(text);
    known_ = std::move(plan.seconds);
    if (plan.machine == settings_.machine) known_names_ = std::move(plan.names);
  } catch (const std::exception& error) {
    throw Error("'" + settings_.plan_file.string() + "' is not a plan that descent wrote: " + error.what());
  }
}

void Measurements::merge_cache() {
  if (settings_.cache_file.empty()) return;
  try {
    PlanFile cache = parse(read_file(settings_.cache_file, size_limit));
    if (cache.machine != settings_.machine) return;
    known_.merge(cache.seconds);
    known_names_.merge(cache.names);
  } catch (const std::exception&) {  // the cache only saves time: without it, measure again
  }
}

std::optional<double> Measurements::recorded(const std::string& key, const std::optional<Likeness>& like) {
  auto found = like ? known_.find(like->key) : known_.end();
  const double share = found != known_.end() ? like->share : 1;
  if (found == known_.end()) found = known_.find(key);
  if (found == known_.end()) return std::nullopt;
  used_.insert(*found);
  return share * found->second;
}

double Measurements::seconds(const std::string& key, const std::function<double()>& measure,
                             const std::optional<Likeness>& like) {
  if (const auto known = recorded(key, like)) return *known;
  if (!lock_ && !settings_.cache_file.empty() && settings_.plan_file.empty()) {
    std::error_code ignored;
    fs::create_directories(settings_.cache_file.parent_path(), ignored);
    lock_.emplace(settings_.cache_file.string() + ".lock");
    merge_cache();
    if (const auto known = recorded(key, like)) return *known;
  }
  const double begin = settings_.now();
  const double seconds = measure();
  known_.emplace(key, seconds);
  used_.emplace(key, seconds);
  changed_ = true;
  count(settings_.now() - begin);
  return seconds;
}

void Measurements::count(double seconds) {
  constexpr double every = 10;
  const bool first = tell_at_ < every;
  spent_ += seconds;
  ++measured_;
  if (spent_ < tell_at_) return;
  write_cache();
  tell_at_ = (std::floor(spent_ / every) + 1) * every;
  if (!settings_.tell) return;
  if (!first) return settings_.tell(fmt::format("kernels are timed: {} in {:.0f} s", measured_, spent_));
  std::string sentence = "kernels are timed for this network, batch and number of threads";
  if (!settings_.plan_file.empty()) {
    sentence +=
        ", as far as '" + settings_.plan_file.string() + "' does not hold their times: other bits may follow";
  } else if (!settings_.cache_file.empty()) {
    sentence +=
        ": the next start will find their times in '" + settings_.cache_file.parent_path().string() + "'";
  }
  settings_.tell(sentence);
}

const std::vector<std::string>& Measurements::names(const std::string& key,
                                                    const std::function<std::vector<std::string>()>& list,
                                                    const std::optional<Likeness>& like) {
  auto found = like ? known_names_.find(like->key) : known_names_.end();
  if (found == known_names_.end()) found = known_names_.find(key);
  if (found == known_names_.end()) {
    found = known_names_.emplace(key, list()).first;
    changed_ = true;
  }
  used_names_.insert(*found);
  return found->second;
}

void Measurements::write_cache() {
  if (changed_ && !settings_.cache_file.empty() && settings_.plan_file.empty()) {
    try {
      write_file_atomically(settings_.cache_file, print(settings_.machine, known_, known_names_));
    } catch (const Error&) {  // a read-only cache: the run folder keeps its own copy
    }
  }
  changed_ = false;
}

void Measurements::save() {
  write_cache();
  lock_.reset();
}

std::string Measurements::text() const {
  return print(settings_.machine, used_, used_names_);
}

fs::path plan_cache_folder() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return fs::path(cache) / "descent";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".cache" / "descent";
  }
  return {};
}

fs::path plan_cache_file(const std::string& machine) {
  const fs::path folder = plan_cache_folder();
  if (folder.empty()) return {};
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const char letter : machine) hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211U;
  return folder / fmt::format("plan-{:016x}.json", hash);
}

std::string plan_cache_text() {
  fs::path folder = plan_cache_folder();
  if (folder.empty()) return "none: neither XDG_CACHE_HOME nor HOME is set";
  const std::string shown = folder.string();
  std::error_code error;
  while (!fs::exists(folder, error) && folder.has_relative_path()) folder = folder.parent_path();
  // To ask for rights is not enough: they say nothing of folders that the system itself keeps.
  std::string trial = (folder / ".descent-XXXXXX").string();
  const bool writable = ::mkdtemp(trial.data()) != nullptr;
  if (writable) ::rmdir(trial.c_str());
  return fmt::format("{}, {}", shown, writable ? "writable" : "cannot be written: every run measures anew");
}

}  // namespace descent
