// The training loop, with the scopes of fast.ai's course "Practical Deep Learning, part 2" (its Learner).
#include "descent/train.h"

#include "descent/checkpoint.h"
#include "descent/error.h"
#include "train/phase.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <numeric>
#include <utility>

namespace descent {

namespace {

using Clock = std::chrono::steady_clock;
using Hook = void (Observer::*)(FitState&);

struct ScopeHooks {
  Hook before, after, cleanup;
};

constexpr ScopeHooks hooks_of(Scope scope) {
  switch (scope) {
    case Scope::fit:
      return {&Observer::before_fit, &Observer::after_fit, &Observer::cleanup_fit};
    case Scope::epoch:
      return {&Observer::before_epoch, &Observer::after_epoch, &Observer::cleanup_epoch};
    default:
      return {&Observer::before_batch, &Observer::after_batch, &Observer::cleanup_batch};
  }
}

PlanRequest request_for(Mode mode, DType precision) {
  PlanRequest request;
  request.mode = mode;
  request.loss = true;
  request.loads_alone = mode == Mode::infer;  // a sheet of the pictures is made of what training reads
  request.precision = precision;
  return request;
}

std::optional<PhasePlans> watched_plans(const Network& network, ParameterStore& store,
                                        const PictureSet& pictures, const TrainSettings& settings) {
  if (settings.watch.empty()) return std::nullopt;
  PlanRequest request = request_for(Mode::train, settings.precision);
  request.watch = settings.watch;
  request.profile = true;
  return PhasePlans(network, store, pictures, settings.batch_size, std::move(request));
}

class Fit {
 public:
  Fit(const Network& network, ParameterStore& store, const DataSet& data, const TrainSettings& settings,
      std::span<Observer* const> observers, const FitCheckpoint* from)
      : network_(network),
        data_(data),
        settings_(settings),
        observers_(observers),
        device_(store.device()),
        optimizer_(settings.optimizer),
        ranges_(update_ranges(store.layout(), settings.groups)),
        optimizer_state_(device_, store.layout(), slots(optimizer_)),
        train_plans_(network, store, data.train, settings.batch_size,
                     request_for(Mode::train, settings.precision)),
        valid_plans_(network, store, data.valid, valid_batch_size(settings),
                     request_for(Mode::infer, settings.precision)),
        watched_plans_(watched_plans(network, store, data.train, settings)),
        valid_order_(epoch_order(data.valid.size(), false, settings.seed, 0)),
        learning_rate_(std::visit([](const auto& rule) { return rule.learning_rate; }, optimizer_)),
        state_{settings, store, optimizer_state_, optimizer_, learning_rate_, train_plans_.batches()} {
    if (from != nullptr) take_up(*from);
    workspace_ = device_.allocate(std::max({train_plans_.workspace_bytes(), valid_plans_.workspace_bytes(),
                                            watched_plans_ ? watched_plans_->workspace_bytes() : 0}));
    train_plans_.bind(workspace_);
    valid_plans_.bind(workspace_);
    if (watched_plans_) watched_plans_->bind(workspace_);
    train_pictures_ = place(data.train);  // in what memory is left
    valid_pictures_ = place(data.valid);
  }

  std::vector<EpochMetrics> run() {
    in_scope(Scope::fit, [&] {
      while (state_.next.epoch < settings_.epochs && !out_of_steps()) one_epoch();
    });
    return std::move(history_);
  }

 private:
  void take_up(const FitCheckpoint& from) {
    const bool fits = from.optimizer == name(optimizer_) && from.steps_per_epoch == state_.steps_per_epoch &&
                      from.position.batch <= from.steps_per_epoch &&
                      from.slots.size() == optimizer_state_.slots() * state_.store.layout().trained_elements;
    if (!fits) {
      throw Error(
          fmt::format("a fit with {} and {} steps an epoch cannot be taken up with {} and {}: settings and "
                      "data must be those it was left with",
                      from.optimizer, from.steps_per_epoch, name(optimizer_), state_.steps_per_epoch));
    }
    state_.store.upload(from.parameters);
    if (!from.slots.empty())
      device_.upload(optimizer_state_.values().data(), device_.parameter_type(), from.slots);
    optimizer_state_.step = from.updates;
    state_.next = from.position;
    state_.step = from.position.step;
    last_rate_ = from.position.learning_rate;
  }

  void one_epoch() {
    state_.epoch = state_.next.epoch;
    phase_start_ = Clock::now();  // the order is a part of the epoch's work
    const std::vector<std::uint32_t> order = epoch_order(data_.train.size(), settings_.shuffle, settings_.seed,
                                                         static_cast<std::uint32_t>(state_.epoch));
    EpochMetrics metrics;
    metrics.epoch = state_.epoch;
    metrics.train = one_phase(true, train_plans_, data_.train, order);
    metrics.step = state_.step;
    metrics.learning_rate = last_rate_;
    phase_start_ = Clock::now();
    metrics.valid = one_phase(false, valid_plans_, data_.valid, valid_order_);
    FitPosition& next = state_.next;
    next.best_accuracy = std::max(next.best_accuracy, metrics.valid.accuracy);
    const bool cut = out_of_steps() && next.batch < train_plans_.batches();
    if (!cut) next = {state_.epoch + 1, state_.step, 0, {}, last_rate_, next.best_accuracy};
    history_.push_back(metrics);
    for (Observer* observer : observers_) observer->after_both_phases(state_, metrics);
  }

  [[nodiscard]] std::unique_ptr<PlacedPictures> place(const PictureSet& pictures) const {
    return device_.place(pictures.source(network_.normalisation));
  }

  PhaseMetrics one_phase(bool training, const PhasePlans& plans, const PictureSet& pictures,
                         std::span<const std::uint32_t> order) {
    PictureSource source = pictures.source(network_.normalisation);
    source.placed = (training ? train_pictures_ : valid_pictures_).get();
    sums_ = training ? state_.next.sums : PhaseSums{};
    seconds_before_ = sums_.seconds;
    state_.training = training;
    state_.running = sums_.metrics();
    in_scope(Scope::epoch, [&] {
      for (std::int64_t batch = training ? state_.next.batch : 0;
           batch < plans.batches() && !(training && out_of_steps()); ++batch) {
        try {
          one_batch(plans, plans.range(batch), source, order);
        } catch (const Cancel&) {  // of the epoch or the fit: the batch counts as one that was cancelled alone
          if (training) count_step(batch);
          throw;
        }
        if (training) count_step(batch);
      }
      device_.wait();
      measure_phase();
    });
    return state_.running;
  }

  void count_step(std::int64_t batch) {
    ++state_.step;
    state_.next = {state_.epoch, state_.step, batch + 1, sums_, last_rate_, state_.next.best_accuracy};
  }

  void one_batch(const PhasePlans& plans, const BatchRange& range, const PictureSource& source,
                 std::span<const std::uint32_t> order) {
    state_.watched = state_.training && watched_plans_ && state_.step % settings_.watch_every == 0;
    Plan& plan = (state_.watched ? *watched_plans_ : plans).plan(range);
    const StepContext context{settings_.seed, static_cast<std::uint32_t>(state_.epoch),
                              static_cast<std::uint64_t>(range.first)};
    state_.batch_pictures = range.pictures;
    state_.batch_indices =
        order.subspan(static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.pictures));
    state_.plan = &plan;
    in_scope(Scope::batch, [&] {
      plan.load(source, {state_.batch_indices, views_of(context)});
      if (state_.training && plan.has_step()) {
        plan.step(context, optimizer_state_, update_request());
        take_loss(plan, context);  // while the rest is still being computed
        notify(&Observer::after_backward);
        notify(&Observer::after_step);
        return;
      }
      plan.forward(context);
      take_loss(plan, context);
      if (!state_.training) return;
      plan.backward(context);
      notify(&Observer::after_backward);
      device_.update(state_.store, optimizer_state_, update_request());
      notify(&Observer::after_step);
    });
  }

  // How the pictures of the batch at hand are seen.
  [[nodiscard]] std::span<const PictureView> views_of(const StepContext& context) {
    views_ = augmented_views(state_.training ? settings_.augmentation : Augmentation{}, context.seed,
                             context.epoch, context.first_picture, state_.batch_indices.size());
    return views_;
  }

  void take_loss(Plan& plan, const StepContext& context) {
    const StepResult result = plan.result();
    if (state_.training) {
      for (std::int64_t& batches : state_.store.counters()) ++batches;
    }
    sums_.add(result, state_.batch_pictures);
    state_.batch_loss = result.loss_sum / static_cast<double>(state_.batch_pictures);
    state_.batch_accuracy = static_cast<double>(result.correct) / static_cast<double>(state_.batch_pictures);
    measure_phase();
    notify(&Observer::after_loss);
    if (!std::isfinite(result.loss_sum)) refuse_loss(plan, context, moment());
  }

  [[nodiscard]] std::string moment() const {
    if (state_.training) return "at step " + std::to_string(state_.step);
    return "in the validation of epoch " + std::to_string(state_.epoch);
  }

  // Of the step at hand, with the rate and the options that observers have set.
  [[nodiscard]] UpdateRequest update_request() {
    last_rate_ = learning_rate_;
    const double decay = std::visit([](const auto& rule) { return rule.weight_decay; }, optimizer_);
    return {optimizer_, ranges_, learning_rate_, decay, settings_.decay, settings_.clip_norm};
  }

  void measure_phase() {
    sums_.seconds = seconds_before_ + std::chrono::duration<double>(Clock::now() - phase_start_).count();
    state_.running = sums_.metrics();
  }

  [[nodiscard]] bool out_of_steps() const { return settings_.steps > 0 && state_.step >= settings_.steps; }

  void notify(Hook hook) {
    for (Observer* observer : observers_) (observer->*hook)(state_);
  }

  // before, body, after; a Cancel of this scope ends here, anything else goes on outwards. In every case all
  // observers clean up: an error of theirs counts if there is no earlier one.
  template <class Body>
  void in_scope(Scope scope, const Body& body) {
    const ScopeHooks hooks = hooks_of(scope);
    std::exception_ptr leaving;
    bool failed = false;
    const auto attempt = [&](const auto& work) {
      try {
        work();
      } catch (const Cancel& cancel) {
        if (cancel.scope != scope && !leaving) leaving = std::current_exception();
      } catch (...) {
        if (!failed) leaving = std::current_exception();
        failed = state_.failed = true;
      }
    };
    attempt([&] {
      notify(hooks.before);
      body();
      notify(hooks.after);
    });
    for (Observer* observer : observers_) attempt([&] { (observer->*hooks.cleanup)(state_); });
    if (leaving) std::rethrow_exception(leaving);
  }

  const Network& network_;
  const DataSet& data_;
  const TrainSettings& settings_;
  std::span<Observer* const> observers_;
  Device& device_;
  Optimizer optimizer_;
  std::vector<UpdateRange> ranges_;
  OptimizerState optimizer_state_;
  Buffer workspace_;  // outlives the plans
  PhasePlans train_plans_;
  PhasePlans valid_plans_;
  std::optional<PhasePlans> watched_plans_;  // for the training steps that are summarised
  std::vector<std::uint32_t> valid_order_;
  std::unique_ptr<PlacedPictures> train_pictures_;  // null where the device reads the host's
  std::unique_ptr<PlacedPictures> valid_pictures_;
  std::vector<PictureView> views_;  // of the batch at hand
  double learning_rate_;
  double last_rate_ = learning_rate_;  // of the last step made
  FitState state_;
  PhaseSums sums_;
  double seconds_before_ = 0;  // of the phase, before the fit was taken up
  Clock::time_point phase_start_;
  std::vector<EpochMetrics> history_;
};

}  // namespace

std::vector<EpochMetrics> fit(const Network& network, ParameterStore& store, const DataSet& data,
                              const TrainSettings& settings, std::span<Observer* const> observers,
                              const FitCheckpoint* from) {
  check_fit(network, store.layout(), data, settings);
  return Fit(network, store, data, settings, observers, from).run();
}

}  // namespace descent
