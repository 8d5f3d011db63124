#include "cli/progress.h"

#include "cli/cli.h"
#include "cli/status_line.h"
#include "descent/schedule.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

namespace descent::cli {

namespace {

constexpr std::chrono::milliseconds redraw_after{100};
constexpr std::chrono::minutes print_after{1};  // where there is no terminal
constexpr double first_guess = 1.0 / 3;         // of a validated picture's cost to a trained one's

// Cells of the line of a terminal: the widest line is easy to read still, and what the terminal itself shows of
// a Ctrl-C has room behind it.
std::size_t usable_cells(std::size_t columns) {
  constexpr std::size_t widest = 200;
  constexpr std::size_t echo = 2;  // "^C"
  return std::max(std::min(columns, widest), echo) - echo;
}

std::string repeated(const char* character, std::size_t times) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += character;
  return text;
}

// Done and to do. Grows with the terminal: what stands behind it has room first.
std::vector<LinePart> bar(double done, std::size_t line_cells, const Terminal& terminal) {
  constexpr std::size_t least = 8;
  constexpr std::size_t most = 40;
  constexpr std::size_t others = 80;
  const std::size_t cells = std::clamp((std::max(line_cells, others) - others) / 4 + least, least, most);
  const auto full = static_cast<std::size_t>(std::clamp(done, 0.0, 1.0) * static_cast<double>(cells));
  return {{repeated(terminal.utf8() ? "━" : "#", full), 0, terminal.colour() ? "\033[36m" : ""},
          {repeated(terminal.utf8() ? "─" : "-", cells - full), 0, terminal.colour() ? "\033[2m" : ""}};
}

// Of the course of the loss: what the other parts leave of the line, once there is room for all of them.
std::size_t spark_cells(std::size_t line_cells) {
  constexpr std::size_t narrow = 100;
  return line_cells < narrow ? 10 : Sparkline::most_cells;
}

double rate(const PhaseMetrics& phase) {
  return phase.seconds > 0 ? static_cast<double>(phase.pictures) / phase.seconds : 0;
}

}  // namespace

Progress::Progress(std::int64_t train_pictures, std::int64_t valid_pictures)
    : train_pictures_(train_pictures), valid_pictures_(valid_pictures), terminal_(STDERR_FILENO) {}

void Progress::before_fit(FitState& state) {
  last_drawn_ = Clock::now();
  if (state.next.step > 0)
    show(stderr, fmt::format("going on from step {}, in epoch {}\n", state.next.step, state.next.epoch));
}

void Progress::before_epoch(FitState& state) {
  if (terminal_.live()) draw(state);
}

void Progress::after_batch(FitState& state) {
  const PhaseMetrics& phase = state.running;
  if (phase.pictures > 0) {
    (state.training ? train_cost_ : valid_cost_) = phase.seconds / static_cast<double>(phase.pictures);
  }
  if (state.training) losses_.add(state.batch_loss);
  const Clock::duration silence = Clock::now() - last_drawn_;
  if (terminal_.live() && silence >= redraw_after) draw(state);
  if (!terminal_.live() && silence >= print_after) print_line(state);
}

void Progress::after_epoch(FitState& state) {
  if (terminal_.live()) draw(state);
}

double Progress::seconds_left(const FitState& state) const {
  const TrainSettings& settings = state.settings;
  const std::int64_t steps = schedule_ticks({.by = ScheduleBy::step}, settings, state.steps_per_epoch);
  const std::int64_t epochs = schedule_ticks({.by = ScheduleBy::epoch}, settings, state.steps_per_epoch);
  const double picture_of_step =
      static_cast<double>(train_pictures_) / static_cast<double>(state.steps_per_epoch);
  const std::int64_t steps_left = std::max<std::int64_t>(steps - state.step - (state.training ? 1 : 0), 0);
  const double valid_left = static_cast<double>((epochs - state.epoch) * valid_pictures_) -
                            (state.training ? 0.0 : static_cast<double>(state.running.pictures));
  const double valid_cost = valid_cost_ > 0 ? valid_cost_ : first_guess * train_cost_;
  return static_cast<double>(steps_left) * picture_of_step * train_cost_ +
         std::max(valid_left, 0.0) * valid_cost;
}

void Progress::draw(const FitState& state) {
  if (!terminal_.in_foreground()) return;
  const std::int64_t total = state.training ? train_pictures_ : valid_pictures_;
  const double done =
      static_cast<double>(state.running.pictures) / static_cast<double>(std::max<std::int64_t>(total, 1));
  const std::size_t cells = usable_cells(terminal_.columns());
  std::vector<LinePart> parts{{fmt::format("{} {:>2}/{} ", state.training ? "train" : "valid", state.epoch + 1,
                                           state.settings.epochs)}};
  for (LinePart& part : bar(done, cells, terminal_)) parts.push_back(std::move(part));
  parts.push_back({fmt::format(" {:3.0f} %", 100 * done), 1});
  if (state.running.pictures > 0) {
    parts.push_back({fmt::format("  loss {:.3f}", state.running.loss), 2});
    parts.push_back({fmt::format("  accuracy {:.3f}", state.running.accuracy), 6});
    parts.push_back({fmt::format("  {:.0f} images/s", rate(state.running)), 4});
  }
  if (train_cost_ > 0) parts.push_back({fmt::format("  {} left", clock_text(seconds_left(state))), 3});
  const std::string losses = losses_.text(spark_cells(cells), terminal_.utf8());
  if (!losses.empty()) parts.push_back({"  " + losses, 5});
  show(stderr, "\r\033[K" + line_text(std::move(parts), cells));
  drawn_ = true;
  last_drawn_ = Clock::now();
}

void Progress::print_line(const FitState& state) {
  show(stderr, fmt::format("epoch {}, {}: step {}, loss {:.3f}, {:.0f} images/s, {} left\n", state.epoch,
                           state.training ? "training" : "validation", state.step, state.running.loss,
                           rate(state.running), clock_text(seconds_left(state))));
  last_drawn_ = Clock::now();
}

void Progress::erase() {
  if (!drawn_) return;
  show(stderr, "\r\033[K");
  drawn_ = false;
}

void Progress::after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) {
  erase();
  if (terminal_.live()) return;
  last_drawn_ = Clock::now();
  show(stderr,
       fmt::format(
           "epoch {}: train loss {:.3f}, accuracy {:.3f}; valid loss {:.3f}, accuracy {:.3f}; {:.1f} s, {:.0f} "
           "images/s\n",
           metrics.epoch, metrics.train.loss, metrics.train.accuracy, metrics.valid.loss,
           metrics.valid.accuracy, metrics.train.seconds + metrics.valid.seconds, rate(metrics.train)));
}

void Progress::cleanup_fit(FitState& /*state*/) {
  erase();
}

void EpochTable::before_fit(FitState& /*state*/) {
  show(stdout, "epoch  train loss  accuracy  valid loss  accuracy  time\n");
}

void EpochTable::after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) {
  show(stdout, fmt::format("{:>5}  {:>10.3f}  {:>8.3f}  {:>10.3f}  {:>8.3f}  {:>4}\n", metrics.epoch,
                           metrics.train.loss, metrics.train.accuracy, metrics.valid.loss,
                           metrics.valid.accuracy, clock_text(metrics.train.seconds + metrics.valid.seconds)));
}

}  // namespace descent::cli
