// A run that is killed leaves a folder whose files are whole up to the last batch written.
#include "descent/picture.h"
#include "descent/random.h"
#include "descent/weights.h"
#include "workplace.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace fs = std::filesystem;
using namespace descent;
using namespace descent::test;

namespace {

constexpr std::int64_t steps_per_epoch = 6;

// A run that would go on for hours, in a process of its own.
class EndlessRun {
 public:
  EndlessRun(const Workplace& place, const std::string& options) : folder_(place / "run") {
    fs::remove_all(folder_);
    const std::string command = "cd '" + (place / "").string() +
                                "' && XDG_CACHE_HOME=\"$PWD/cache\" exec '" DESCENT_PROGRAM
                                "' train --data halves --model tiny.toml --batch-size 4 --threads 1 --epochs "
                                "1000000 --watch-every 1 --out run " +
                                options + " >/dev/null 2>&1";
    process_ = ::fork();
    if (process_ == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
  }
  EndlessRun(const EndlessRun&) = delete;
  EndlessRun& operator=(const EndlessRun&) = delete;
  ~EndlessRun() { kill(); }

  // Once so many steps are on disk.
  void wait_for(std::int64_t steps) const {
    while (std::ranges::count(read_text(folder_ / "steps.csv"), '\n') <= steps) {
      int status = 0;
      BOOST_REQUIRE_MESSAGE(::waitpid(process_, &status, WNOHANG) == 0, "the run ended by itself: " << status);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void kill() {
    if (process_ <= 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }
  [[nodiscard]] pid_t process() const { return process_; }
  [[nodiscard]] const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
  pid_t process_ = -1;
};

// Separators within quotes separate nothing.
std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  bool quoted = false;
  for (const char character : text) {
    quoted = quoted != (character == '"');
    if (character == separator && !quoted) {
      parts.emplace_back();
    } else {
      parts.back() += character;
    }
  }
  return parts;
}

struct Csv {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};

// Every line must have all fields and its end. Only where a step's rows are longer than a page of memory, which
// is what the system writes at once, may a kill cut the last line.
Csv read_whole(const fs::path& file, bool may_be_cut) {
  std::string text = read_text(file);
  BOOST_TEST_CONTEXT(file.filename()) {
    if (may_be_cut) text.erase(text.find_last_of('\n') + 1);
    BOOST_REQUIRE(text.ends_with('\n'));
  }
  text.pop_back();
  Csv csv;
  for (const std::string& line : split(text, '\n')) {
    std::vector<std::string> fields = split(line, ',');
    if (csv.header.empty()) {
      csv.header = std::move(fields);
      continue;
    }
    BOOST_TEST(fields.size() == csv.header.size(), file.filename() << ": " << line);
    csv.rows.push_back(std::move(fields));
  }
  return csv;
}

void check_numbered(const Csv& csv, const std::string& file) {
  for (std::size_t i = 0; i < csv.rows.size(); ++i) {
    BOOST_REQUIRE_MESSAGE(csv.rows[i].front() == std::to_string(i), file << " row " << i);
  }
}

// Each step but the last, which a kill may have cut, has as many rows as the first.
void check_groups(const Csv& csv, const std::string& file) {
  std::vector<std::size_t> sizes;
  for (const auto& row : csv.rows) {
    const auto step = static_cast<std::size_t>(std::stoll(row.front()));
    BOOST_REQUIRE_MESSAGE(step == sizes.size() || step + 1 == sizes.size(), file << " at step " << step);
    if (step == sizes.size()) sizes.push_back(0);
    ++sizes.back();
  }
  if (!sizes.empty()) sizes.pop_back();
  BOOST_TEST(std::ranges::all_of(sizes, [&](std::size_t size) { return size == sizes.front(); }), file);
}

void check_csv_files(const fs::path& folder) {
  std::set<std::string> seen;
  std::size_t steps = 0;
  std::size_t norms = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".csv") continue;
    const std::string name = entry.path().filename().string();
    seen.insert(name);
    const bool grouped = name == "layers.csv" || name == "histograms.csv" || name == "parameters.csv";
    const Csv csv = read_whole(entry.path(), grouped);
    if (grouped) check_groups(csv, name);
    if (name == "steps.csv" || name == "gradients.csv" || name == "metrics.csv") check_numbered(csv, name);
    if (name == "steps.csv") steps = csv.rows.size();
    if (name == "gradients.csv") norms = csv.rows.size();
    if (name == "metrics.csv") {
      for (std::size_t epoch = 0; epoch < csv.rows.size(); ++epoch) {
        BOOST_TEST(csv.rows[epoch].at(1) ==
                   std::to_string((static_cast<std::int64_t>(epoch) + 1) * steps_per_epoch - 1));
      }
    }
  }
  for (const auto* file :
       {"steps.csv", "metrics.csv", "network.csv", "layers.csv", "gradients.csv", "batch.csv"}) {
    BOOST_TEST(seen.contains(file), file << " is missing");
  }
  BOOST_TEST((steps == norms || steps + 1 == norms || norms + 1 == steps),
             steps << " steps, " << norms << " norms");
}

// A length and its content, and nothing after the last one.
void check_event_file(const fs::path& file) {
  const std::string bytes = read_text(file);
  std::size_t at = 0;
  while (at + 8 <= bytes.size()) {
    std::size_t size = 0;
    for (std::size_t i = 8; i-- > 0;) size = size * 256 + static_cast<unsigned char>(bytes[at + i]);
    at += 16 + size;
  }
  BOOST_TEST(at == bytes.size());
}

void check_other_files(const fs::path& folder, pid_t process) {
  std::size_t pictures = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const fs::path& file = entry.path();
    BOOST_TEST_CONTEXT(file.filename()) {
      if (file.extension() == ".json") BOOST_TEST(nlohmann::json::accept(read_text(file)));
      if (file.extension() == ".png") BOOST_CHECK_NO_THROW((void)read_picture(file));
      if (file.extension() == ".png") ++pictures;
      if (file.filename() == "checkpoint.safetensors") {
        BOOST_CHECK_NO_THROW((void)read_safetensors(file));
      } else if (file.extension() == ".safetensors") {
        BOOST_CHECK_NO_THROW((void)load_model(file));
      }
      if (file.filename().string().starts_with("events.out")) check_event_file(file);
    }
  }
  BOOST_TEST(pictures >= 1U);
  const nlohmann::json run = nlohmann::json::parse(read_text(folder / "run.json"));
  BOOST_TEST(run.at("state") == "running");
  BOOST_TEST(run.at("finished").is_null());
  BOOST_TEST(run.at("pid") == process);
  if (fs::exists(folder / "report.html")) {
    const std::string report = read_text(folder / "report.html");
    BOOST_TEST(report.find("</html>") != std::string::npos);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(killed_run)

BOOST_AUTO_TEST_CASE(a_run_killed_at_any_moment_leaves_whole_files_and_a_report) {
  Workplace place;
  write_part(place / "halves", "train", 4 * steps_per_epoch);
  const bool tensorboard = place.run("train --help").output.find("--tensorboard") != std::string::npos;
  std::uint64_t draw = 0;
  for (const std::int64_t steps : {1, 2, 3, 5, 6, 11, 20, 60, 90, 150}) {
    EndlessRun run(place, tensorboard ? "--tensorboard" : "");
    run.wait_for(steps);
    // Somewhere within the steps that follow.
    const std::uint64_t moment = uniform_below({11, Purpose::demo, 0, 0}, draw++, 3000);
    std::this_thread::sleep_for(std::chrono::microseconds(moment));
    const pid_t process = run.process();
    run.kill();
    BOOST_TEST_CONTEXT("after " << steps << " steps and " << moment << " µs") {
      check_csv_files(run.folder());
      check_other_files(run.folder(), process);
      const Ending report = place.run("report run");
      BOOST_TEST(report.code == 0, report.errors);
      BOOST_TEST(fs::file_size(run.folder() / "report.html") > 10000U);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
