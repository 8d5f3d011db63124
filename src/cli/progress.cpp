#include "cli/progress.h"

#include "cli/cli.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>

namespace descent::cli {

namespace {

constexpr std::chrono::milliseconds redraw_after{100};
constexpr double first_guess = 1.0 / 3;  // of a validated picture's cost to a trained one's

std::string bar(double done) {
  constexpr int cells = 24;
  const int full = std::clamp(static_cast<int>(done * cells), 0, cells);
  std::string text;
  for (int i = 0; i < cells; ++i) text += i < full ? "━" : "─";
  return text;
}

double rate(const PhaseMetrics& phase) {
  return phase.seconds > 0 ? static_cast<double>(phase.pictures) / phase.seconds : 0;
}

}  // namespace

Progress::Progress(std::int64_t train_pictures, std::int64_t valid_pictures)
    : train_pictures_(train_pictures),
      valid_pictures_(valid_pictures),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::before_fit(FitState& /*state*/) {
  last_drawn_ = Clock::now();
}

void Progress::before_epoch(FitState& state) {
  if (terminal_) draw(state);
}

void Progress::after_batch(FitState& state) {
  const PhaseMetrics& phase = state.running;
  if (phase.pictures > 0) {
    (state.training ? train_cost_ : valid_cost_) = phase.seconds / static_cast<double>(phase.pictures);
  }
  if (terminal_ && Clock::now() - last_drawn_ >= redraw_after) draw(state);
}

double Progress::seconds_left(const FitState& state) const {
  const TrainSettings& settings = state.settings;
  std::int64_t steps = settings.epochs * state.steps_per_epoch;
  if (settings.steps > 0) steps = std::min(steps, settings.steps);
  const std::int64_t epochs = (steps + state.steps_per_epoch - 1) / state.steps_per_epoch;
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
  const std::int64_t total = state.training ? train_pictures_ : valid_pictures_;
  const double done =
      static_cast<double>(state.running.pictures) / static_cast<double>(std::max<std::int64_t>(total, 1));
  std::string line = fmt::format("{} {:>2}/{} {} {:3.0f} %", state.training ? "train" : "valid",
                                 state.epoch + 1, state.settings.epochs, bar(done), 100 * done);
  if (state.running.pictures > 0) {
    line += fmt::format("  loss {:.3f}  {:.0f} images/s", state.running.loss, rate(state.running));
  }
  if (train_cost_ > 0) line += fmt::format("  {} left", clock_text(seconds_left(state)));
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  drawn_ = true;
  last_drawn_ = Clock::now();
}

void Progress::erase() {
  if (!drawn_) return;
  fmt::print(stderr, "\r\033[K");
  std::fflush(stderr);
  drawn_ = false;
}

void Progress::after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) {
  erase();
  if (terminal_) return;
  fmt::print(
      stderr,
      "epoch {}: train loss {:.3f}, accuracy {:.3f}; valid loss {:.3f}, accuracy {:.3f}; {:.1f} s, {:.0f} "
      "images/s\n",
      metrics.epoch, metrics.train.loss, metrics.train.accuracy, metrics.valid.loss, metrics.valid.accuracy,
      metrics.train.seconds + metrics.valid.seconds, rate(metrics.train));
}

void Progress::cleanup_fit(FitState& /*state*/) {
  erase();
}

void EpochTable::after_both_phases(FitState& /*state*/, const EpochMetrics& metrics) {
  if (!begun_) fmt::print("epoch  train loss  accuracy  valid loss  accuracy  time\n");
  begun_ = true;
  fmt::print("{:>5}  {:>10.3f}  {:>8.3f}  {:>10.3f}  {:>8.3f}  {:>4}\n", metrics.epoch, metrics.train.loss,
             metrics.train.accuracy, metrics.valid.loss, metrics.valid.accuracy,
             clock_text(metrics.train.seconds + metrics.valid.seconds));
  std::fflush(stdout);
}

}  // namespace descent::cli
