// Choices by timing on the CUDA device. Times come from plan files here, so that no test looks at the clock;
// what is timed for want of a file is timed on the host.
#include "base/files.h"
#include "compare.h"
#include "cuda/choice.h"
#include "cuda/kernels.h"
#include "cuda/library/conv_choice.h"
#include "cuda/library/kernels.h"
#include "emulated_device.h"
#include "library_double.h"
#include "network_builder.h"
#include "reference/device.h"
#include "temporary_folder.h"
#include "tolerances.h"
#include "unit_run.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace descent::test {

namespace {

OpCase small_unit(std::int64_t batch = 2) {
  NetworkBuilder builder({3, 5, 4});
  builder.add(Conv{.out = 4, .padding = {1, 1}});
  builder.add(BatchNorm{});
  builder.add(GeneralRelu{.leak = 0.1, .sub = 0.4});
  OpCase row;
  row.name = "a convolution with what follows it";
  row.network = builder.build();
  row.batch = batch;
  row.mode = Mode::train;
  row.seed = 6000;
  return row;
}

// What was chosen, and the plan file of it.
struct Chosen {
  std::string forward;
  std::string backward;
  std::string plan;
  Outcome outcome;
};

using MakeChosen =
    std::function<std::unique_ptr<Kernel>(const KernelRequest&, Layout, const CudaContext&, CudaTuner&)>;

Chosen choose(const MakeChosen& make, const std::optional<Measurements::Settings>& settings,
              DType precision = DType::f32, std::int64_t batch = 2) {
  Chosen chosen;
  const MakeKernel make_kernel = [&](const KernelRequest& request, Layout layout, const CudaContext& context) {
    CudaTuner tuner(context, settings ? std::make_unique<Measurements>(*settings) : nullptr);
    auto kernel = make(request, layout, context, tuner);
    tuner.finish();
    chosen.forward = kernel->report_forward().implementation;
    chosen.backward = kernel->report_backward().implementation;
    chosen.plan = tuner.text();
    return kernel;
  };
  chosen.outcome = run_unit(make_kernel, small_unit(batch), precision);
  return chosen;
}

MakeChosen library_with(const LibraryHandles& handles) {
  return [&handles](const KernelRequest& request, Layout /*layout*/, const CudaContext& context,
                    CudaTuner& tuner) {
    return make_conv_library(request, {context, handles, handles, tuner, TimedBatch(request.plan)});
  };
}

MakeChosen either_with(const LibraryHandles& handles) {
  return [&handles](const KernelRequest& request, Layout layout, const CudaContext& context, CudaTuner& tuner) {
    const KernelMakers makers{
        [&] { return make_cuda_kernel(std::get<Conv>(request.unit.first().op), request, layout, context); },
        [&] {
          return make_conv_library(request, {context, handles, handles, tuner, TimedBatch(request.plan)});
        },
        true};
    return choose_kernel({tuner, true}, request, makers);
  };
}

// For a plan that goes by the times of one of `timed` pictures.
MakeChosen timed_as(std::int64_t timed, const MakeChosen& make) {
  return [=](const KernelRequest& request, Layout layout, const CudaContext& context, CudaTuner& tuner) {
    PlanRequest plan = request.plan;
    plan.timed_batch = timed;
    return make({request.unit, plan, request.inputs, request.output, request.input_gradients}, layout, context,
                tuner);
  };
}

Measurements::Settings with_plan(const TemporaryFolder& folder, const std::string& text) {
  write_file_atomically(folder / "plan.json", text);
  return {"this machine", folder / "plan.json", {}};
}

// Every time of the plan is 1 but for those whose name holds all of the words.
std::string with_time(const std::string& plan, const std::vector<std::string>& words, double seconds) {
  auto json = nlohmann::json::parse(plan);
  for (auto& [key, value] : json["seconds"].items()) {
    const std::string& name = key;
    const bool is_meant = std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return name.find(word) != std::string::npos;
    });
    value = is_meant ? seconds : 1.0;
  }
  return json.dump();
}

const Measurements::Settings nowhere{"this machine", {}, {}};

LibraryHandles handles_with(std::vector<std::string> engines, bool rounds_gradients = true) {
  LibraryHandles handles;
  handles.engines = std::move(engines);
  handles.rounds_gradients = rounds_gradients;
  return handles;
}

// An emulated device with a plan of a whole network prepared on it.
std::string plan_text_of(Device& device) {
  const Network network = small_unit().network;
  ParameterStore store(device, parameter_layout(network), true);
  static_cast<void>(device.prepare(network, {.mode = Mode::train, .batch = 2}, store));
  return device.plan_text();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_tuner)

BOOST_AUTO_TEST_CASE(each_direction_takes_the_engine_with_the_least_time) {
  const TemporaryFolder folder;
  const LibraryHandles handles = handles_with({"first", "second", "third"});
  const std::string plan = choose(library_with(handles), nowhere).plan;
  const auto chosen_by = [&](const std::vector<std::string>& words) {
    return choose(library_with(handles), with_plan(folder, with_time(plan, words, 0.5)));
  };
  const Chosen forward = chosen_by({"forward", "third"});
  BOOST_TEST(forward.forward == "cudnn: third");
  BOOST_TEST(forward.backward == "cudnn: first, first");  // the heuristics' order where times are the same
  BOOST_TEST(chosen_by({"backward weights", "second"}).backward == "cudnn: second, first");
  BOOST_TEST(chosen_by({"backward data", "third"}).backward == "cudnn: first, third");
}

BOOST_AUTO_TEST_CASE(without_measuring_the_first_engine_is_taken_and_nothing_runs) {
  const LibraryHandles handles = handles_with({"first", "second"});
  std::size_t runs_before_the_step = 0;
  const auto make = [&](const KernelRequest& request, Layout /*layout*/, const CudaContext& context,
                        CudaTuner& tuner) {
    auto kernel = make_conv_library(request, {context, handles, handles, tuner, TimedBatch(request.plan)});
    runs_before_the_step = handles.runs;
    return kernel;
  };
  const Chosen chosen = choose(make, std::nullopt);
  BOOST_TEST(chosen.forward == "cudnn: first");
  BOOST_TEST(chosen.backward == "cudnn: first, first");
  BOOST_TEST(chosen.plan.empty());
  BOOST_TEST(runs_before_the_step == 0U);
  BOOST_TEST(handles.lists == 0U);
}

BOOST_AUTO_TEST_CASE(a_smaller_last_batch_goes_by_the_times_of_the_others) {
  constexpr std::int64_t whole = 4;
  const TemporaryFolder folder;
  const LibraryHandles measured = handles_with({"first", "second", "third"});
  const std::string plan = choose(either_with(measured), nowhere, DType::f32, whole).plan;
  const LibraryHandles handles = handles_with({"first", "second", "third"});
  const Chosen chosen = choose(timed_as(whole, either_with(handles)),
                               with_plan(folder, with_time(plan, {"forward", "third"}, 0.5)));
  BOOST_TEST(chosen.forward == "cudnn: third");
  BOOST_TEST(chosen.backward == "cudnn: first, first");
  BOOST_TEST(handles.lists == 0U);
  BOOST_TEST(handles.runs <= 3U);  // those of the step itself
}

// A hundred-thousandth of never is never.
BOOST_AUTO_TEST_CASE(what_the_library_does_not_have_it_does_not_have_for_a_part_of_the_batch) {
  const TemporaryFolder folder;
  const LibraryHandles none = handles_with({});
  std::string plan = choose(either_with(none), nowhere).plan;
  for (std::size_t at = 0; (at = plan.find("2x", at)) != std::string::npos; ++at) {
    if (plan[at - 1] == ' ') plan.replace(at, 1, "200000");
  }
  const Chosen own = choose(timed_as(200000, either_with(none)), with_plan(folder, plan));
  BOOST_TEST(own.forward == "own");
  BOOST_TEST(own.plan.find("f32 2x") == std::string::npos, own.plan);  // there was nothing to compare
}

BOOST_AUTO_TEST_CASE(choices_repeat_from_a_plan_file_without_running_anything) {
  const TemporaryFolder folder;
  const LibraryHandles measured = handles_with({"first", "second", "third"});
  const Chosen once = choose(either_with(measured), nowhere);
  const LibraryHandles repeated = handles_with({"first", "second", "third"});
  const Chosen again = choose(either_with(repeated), with_plan(folder, once.plan));
  BOOST_TEST(again.forward == once.forward);
  BOOST_TEST(again.backward == once.backward);
  BOOST_TEST((again.outcome == once.outcome));
  BOOST_TEST(again.plan == once.plan);
  BOOST_TEST(repeated.lists == 0U);
  BOOST_TEST(repeated.runs <= 3U);  // those of the step itself
}

BOOST_AUTO_TEST_CASE(who_comes_second_chooses_as_the_first_by_the_same_cache) {
  const TemporaryFolder folder;
  const Measurements::Settings cache{"this machine", {}, folder / "cache.json"};
  const LibraryHandles handles = handles_with({"first", "second", "third"});
  const Chosen once = choose(either_with(handles), cache);
  const LibraryHandles others = handles_with({"first", "second", "third"});
  const Chosen again = choose(either_with(others), cache);
  BOOST_TEST(again.forward == once.forward);
  BOOST_TEST(again.backward == once.backward);
  BOOST_TEST(again.plan == once.plan);
  BOOST_TEST(others.lists == 0U);
}

BOOST_AUTO_TEST_CASE(an_engine_that_fails_is_never_chosen_nor_recorded) {
  const LibraryHandles handles = handles_with({"broken", "naive"});
  const Chosen chosen = choose(library_with(handles), nowhere);
  BOOST_TEST(chosen.forward == "cudnn: naive");
  BOOST_TEST(chosen.backward == "cudnn: naive, naive");
  const auto json = nlohmann::json::parse(chosen.plan);
  for (const auto& [key, value] : json["seconds"].items()) BOOST_TEST(!std::string(key).ends_with("broken"));
}

BOOST_AUTO_TEST_CASE(a_weight_gradient_is_rounded_only_where_that_is_worth_it) {
  const TemporaryFolder folder;
  const LibraryHandles handles = handles_with({"first", "second"}, false);
  const std::string plan = choose(library_with(handles), nowhere, DType::bf16).plan;
  // Both engines are there in both types: the names tell which was taken.
  const auto weights_by = [&](const std::string& type, double seconds) {
    const std::string text = with_time(plan, {"backward weights", "in " + type, "second"}, seconds);
    return choose(library_with(handles), with_plan(folder, text), DType::bf16).backward;
  };
  BOOST_TEST(weights_by("bf16", 0.5) == "cudnn: second, first");
  BOOST_TEST(weights_by("bf16", 0.98) == "cudnn: first, first");
  BOOST_TEST(weights_by("f32", 0.98) == "cudnn: second, first");
}

BOOST_AUTO_TEST_CASE(a_unit_is_computed_by_whoever_takes_less_time_for_all_of_it) {
  const TemporaryFolder folder;
  const LibraryHandles handles;
  const std::string plan = choose(either_with(handles), nowhere).plan;
  const auto forward_by = [&](const std::string& whose) {
    return choose(either_with(handles), with_plan(folder, with_time(plan, {"training", whose}, 0.5))).forward;
  };
  BOOST_TEST(forward_by(", own") == "own");
  BOOST_TEST(forward_by(", library") == "cudnn: naive");
  BOOST_TEST(forward_by("nobody") == "cudnn: naive");  // the rule, where times are the same
}

BOOST_AUTO_TEST_CASE(a_timed_kernel_agrees_with_the_reference) {
  const OpCase row = small_unit();
  reference::ReferenceDevice reference;
  CaseRun expected(reference, row, true, DType::f32);
  const Tolerance tolerated = tolerance(DType::f32);
  const LibraryHandles handles = handles_with({"first", "second"});
  for (const MakeChosen& make : {library_with(handles), either_with(handles)}) {
    check_outcome(choose(make, nowhere).outcome, expected.step(), expected.store().layout(), tolerated.value,
                  tolerated.gradient);
  }
}

BOOST_AUTO_TEST_CASE(a_device_tells_its_choices_unless_they_follow_rules) {
  DeviceOptions options = by_rule(1);
  BOOST_TEST(plan_text_of(*make_emulated_cuda(options)).empty());
  options.measure = true;
  const std::string text = plan_text_of(*make_emulated_cuda(options));
  const std::vector<DeviceFact> facts = make_emulated_cuda(options)->facts();
  BOOST_TEST(std::ranges::count(facts, "plan cache", &DeviceFact::subject) == 1);
  BOOST_TEST(text.find("the host, emulating") != std::string::npos);
  const TemporaryFolder folder;
  options.plan_file = folder / "plan.json";
  write_file_atomically(options.plan_file, text);
  BOOST_TEST(plan_text_of(*make_emulated_cuda(options)) == text);
  write_file_atomically(options.plan_file, "none");
  BOOST_CHECK_THROW(static_cast<void>(make_emulated_cuda(options)), Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
