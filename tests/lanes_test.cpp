// Pictures innermost, sixteen to a vector: every operation of the table again, in whole vectors of pictures.
#include "cpu/lanes.h"
#include "bound_plan.h"
#include "compare.h"
#include "cpu/aligned.h"
#include "cpu/device.h"
#include "cpu/kernels.h"
#include "cpu/lanes_conv.h"
#include "cpu/lanes_gram.h"
#include "cpu/layouts.h"
#include "cpu/transpose.h"
#include "descent/augment.h"
#include "descent/error.h"
#include "network_builder.h"
#include "op_cases.h"
#include "plan/element.h"
#include "reference/device.h"
#include "reference/seen_pixel.h"
#include "tolerances.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace descent::test {
namespace {

CpuDevice lanes_device(int threads, bool library = true) {
  return CpuDevice(by_rule(threads), {n16chw, library});
}

OpCase with_batch(const OpCase& row, std::int64_t batch) {
  OpCase copy = row;
  copy.batch = batch;
  return copy;
}

std::vector<float> some_values(std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>((i * 37 + 11) % 101) / 50 - 1;
  return values;
}

std::int64_t elements_of(const LanesProblem& problem, bool of_output) {
  const std::int64_t channels = of_output ? problem.out_channels : problem.in_channels;
  const auto size = [&](const Axis& axis) { return of_output ? axis.output : axis.input; };
  return problem.blocks * lanes * channels * size(problem.rows) * size(problem.columns);
}

// A buffer that begins at a vector's boundary, with those values.
AlignedBytes aligned(const std::vector<float>& values) {
  AlignedBytes bytes(values.size() * sizeof(float));
  std::copy(values.begin(), values.end(), static_cast<float*>(bytes.data()));
  return bytes;
}

std::vector<float> copied(const AlignedBytes& bytes, std::int64_t count) {
  const auto* const values = static_cast<const float*>(bytes.data());
  return {values, values + count};
}

// The forward pass with these loops, or the gradient of the input.
std::vector<float> gathered(const LanesProblem& problem, const LanesLoops<float>& loops, bool forward) {
  const auto gather =
      forward ? LanesGather<float>::forward(problem, loops) : LanesGather<float>::backward(problem, loops);
  const AlignedBytes x = aligned(some_values(elements_of(problem, !forward)));
  const AlignedBytes y = aligned(some_values(elements_of(problem, forward)));
  const AlignedBytes packed = aligned(some_values(gather.packed_weights()));
  gather.pack(some_values(problem.weights()).data(), static_cast<float*>(packed.data()));
  gather.run({1}, static_cast<const float*>(x.data()), static_cast<const float*>(packed.data()), nullptr,
             static_cast<float*>(y.data()));
  return copied(y, elements_of(problem, forward));
}

std::vector<float> weight_gradient(const LanesProblem& problem, const LanesLoops<float>& loops) {
  const LanesWeightGradient<float> of(problem, true, loops);
  const AlignedBytes x = aligned(some_values(elements_of(problem, false)));
  const AlignedBytes dy = aligned(some_values(elements_of(problem, true)));
  const AlignedBytes scratch = aligned(some_values(of.scratch()));
  std::vector<float> gradient(static_cast<std::size_t>(problem.weights() + problem.out_channels));
  of.run({1}, static_cast<const float*>(x.data()), static_cast<const float*>(dy.data()),
         static_cast<float*>(scratch.data()), gradient.data(), gradient.data() + problem.weights());
  return gradient;
}

// The same in double, sum by sum: problem without dilation.
std::vector<float> summed_directly(const LanesProblem& p, const std::vector<float>& x,
                                   const std::vector<float>& weights, bool forward) {
  const auto at = [](std::int64_t channels, const Axis& rows, const Axis& columns, bool output,
                     std::int64_t block, std::int64_t channel, std::int64_t row, std::int64_t column) {
    const std::int64_t height = output ? rows.output : rows.input;
    const std::int64_t width = output ? columns.output : columns.input;
    return static_cast<std::size_t>((((block * channels + channel) * height + row) * width + column) * lanes);
  };
  std::vector<double> y(static_cast<std::size_t>(elements_of(p, forward)));
  const auto add = [&](std::int64_t block, std::int64_t o, std::int64_t i, std::int64_t tap,
                       std::int64_t out_row, std::int64_t out_column, std::int64_t row, std::int64_t column) {
    const std::size_t output = at(p.out_channels, p.rows, p.columns, true, block, o, out_row, out_column);
    const std::size_t input = at(p.in_channels, p.rows, p.columns, false, block, i, row, column);
    const double weight = weights[static_cast<std::size_t>((o * p.in_channels + i) * p.taps() + tap)];
    for (std::size_t n = 0; n < lanes; ++n) {
      y[(forward ? output : input) + n] += weight * x[(forward ? input : output) + n];
    }
  };
  for (std::int64_t block = 0; block < p.blocks; ++block) {
    for (std::int64_t o = 0; o < p.out_channels; ++o) {
      for (std::int64_t i = 0; i < p.in_channels; ++i) {
        for (std::int64_t tap = 0; tap < p.taps(); ++tap) {
          for (std::int64_t out = 0; out < p.rows.output * p.columns.output; ++out) {
            const std::int64_t out_row = out / p.columns.output;
            const std::int64_t out_column = out % p.columns.output;
            const std::int64_t row = out_row * p.rows.stride - p.rows.padding + tap / p.columns.kernel;
            const std::int64_t column =
                out_column * p.columns.stride - p.columns.padding + tap % p.columns.kernel;
            if (row < 0 || row >= p.rows.input || column < 0 || column >= p.columns.input) continue;
            add(block, o, i, tap, out_row, out_column, row, column);
          }
        }
      }
    }
  }
  return {y.begin(), y.end()};
}

using Pairs = std::set<std::pair<std::int64_t, std::int64_t>>;  // of output and input

Pairs reached(const std::vector<AxisRun>& runs, bool forward) {
  Pairs pairs;
  for (const AxisRun& run : runs) {
    for (std::int64_t i = 0; i < run.count; ++i) {
      for (const AxisTap& tap : run.taps) {
        const std::int64_t computed = run.first + i * run.stride;
        const std::int64_t read = tap.source + i * run.step;
        pairs.insert(forward ? std::pair{computed, read} : std::pair{read, computed});
      }
    }
  }
  return pairs;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(picture_lanes)

BOOST_AUTO_TEST_CASE(every_operation_agrees_with_the_reference_in_whole_vectors_of_pictures) {
  reference::ReferenceDevice reference;
  for (const std::string_view operation : operations()) {
    for (const OpCase* row : op_cases_of(operation)) {
      for (const std::int64_t batch : {16, 48}) {
        BOOST_TEST_CONTEXT(operation << ", " << row->name << ", batch " << batch) {
          const OpCase wide = with_batch(*row, batch);
          CaseRun expected_run(reference, wide);
          const Outcome expected = expected_run.step();
          CpuDevice device = lanes_device(2);
          CaseRun run(device, wide);
          const Tolerance tolerated = tolerance(DType::f32);
          check_outcome(run.step(), expected, run.store().layout(), tolerated.value, tolerated.gradient);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_threads_changes_no_bit) {
  for (const OpCase* row : op_cases_of("conv")) {
    if (has_linear(*row)) continue;
    const OpCase wide = with_batch(*row, 160);
    BOOST_TEST_CONTEXT(row->name) {
      CpuDevice one = lanes_device(1, false);  // groups: the library's sums may depend on its team
      CpuDevice three = lanes_device(3, false);
      CaseRun alone(one, wide);
      CaseRun shared(three, wide);
      BOOST_TEST((alone.step() == shared.step()));
    }
  }
}

// Each kind of register has loops of its own; the processor takes the longest, the others it can run too.
BOOST_AUTO_TEST_CASE(loops_for_short_registers_sum_the_same_products) {
  for (const OpCase* row : op_cases_of("conv")) {
    const Layer& layer = row->network.layers.front();
    const auto* op = std::get_if<Conv>(&layer.op);
    if (op == nullptr || op->groups != 1) continue;
    BOOST_TEST_CONTEXT(row->name) {
      const LanesProblem problem(*op, layer.input.with_batch(48), layer.output.with_batch(48), lanes);
      for (const bool forward : {true, false}) {
        const std::vector<float> expected = gathered(problem, f32_avx512_loops(), forward);
        check_near(forward ? "output" : "input gradient", gathered(problem, f32_avx2_loops(), forward),
                   expected, largest(expected), tolerance(DType::f32).value);
      }
      const std::vector<float> expected = weight_gradient(problem, f32_avx512_loops());
      check_near("weight gradient", weight_gradient(problem, f32_avx2_loops()), expected, largest(expected),
                 tolerance(DType::f32).gradient);
    }
  }
}

// Sums go on from what the channels before left in memory.
BOOST_AUTO_TEST_CASE(more_channels_than_the_first_cache_holds_are_summed_a_few_at_a_time) {
  constexpr std::int64_t pictures = 5 * lanes;
  constexpr std::int64_t in = 37;  // parts of different sizes, whichever pass
  constexpr std::int64_t out = 43;
  Conv op{.out = out, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}};
  for (const std::int64_t size : {2, 4, 9, 15}) {
    const std::int64_t smaller = (size + 1) / 2;
    const LanesProblem problem(op, {pictures, in, size, size}, {pictures, out, smaller, smaller}, lanes);
    const std::vector<float> weights = some_values(problem.weights());
    for (const bool forward : {true, false}) {
      const std::vector<float> x = some_values(elements_of(problem, !forward));
      const std::vector<float> expected = summed_directly(problem, x, weights, forward);
      for (const auto& loops : {f32_avx2_loops(), f32_avx512_loops()}) {
        check_near(forward ? "output" : "input gradient", gathered(problem, loops, forward), expected,
                   largest(expected), tolerance(DType::f32).value);
      }
    }
  }
}

// A small texture on bright pictures: what f32 would lose, double keeps.
BOOST_AUTO_TEST_CASE(products_of_what_two_taps_read_are_summed_in_double) {
  for (const Conv& op : {Conv{.out = 1, .stride = {2, 2}, .padding = {1, 1}}, Conv{.out = 1},
                         Conv{.out = 1, .kernel = {2, 3}, .padding = {2, 0}, .dilation = {3, 2}}}) {
    for (const std::int64_t channels : {1, 3}) {
      const Shape input{lanes, channels, 9, 8};
      NetworkBuilder builder({channels, 9, 8});
      builder.add(op);
      const LanesProblem problem(op, input, builder.build().layers.front().output.with_batch(lanes), lanes);
      const LanesGram gram(problem);
      std::vector<float> x = some_values(elements_of(problem, false));
      for (float& value : x) value = 1000 + value / 16;
      const AlignedBytes pictures = aligned(x);
      std::vector<double> sums(static_cast<std::size_t>(gram.size()));
      gram.find(static_cast<const float*>(pictures.data()), sums.data());
      const auto read = [&](std::int64_t pixel, std::int64_t reader, std::int64_t picture) {
        if (reader == gram.taps()) return 1.0;
        const std::int64_t tap = reader % problem.taps();
        const auto along = [](const Axis& axis, std::int64_t output, std::int64_t k) {
          return output * axis.stride - axis.padding + k * axis.dilation;
        };
        const std::int64_t row =
            along(problem.rows, pixel / problem.columns.output, tap / problem.columns.kernel);
        const std::int64_t column =
            along(problem.columns, pixel % problem.columns.output, tap % problem.columns.kernel);
        if (row < 0 || row >= 9 || column < 0 || column >= 8) return 0.0;
        const std::int64_t place = ((reader / problem.taps() * 9 + row) * 8 + column) * lanes + picture;
        return static_cast<double>(x[static_cast<std::size_t>(place)]);
      };
      for (std::int64_t a = 0; a <= gram.taps(); ++a) {
        for (std::int64_t b = 0; b <= gram.taps(); ++b) {
          double expected = 0;
          for (std::int64_t pixel = 0; pixel < problem.rows.output * problem.columns.output; ++pixel) {
            for (std::int64_t n = 0; n < lanes; ++n) expected += read(pixel, a, n) * read(pixel, b, n);
          }
          BOOST_TEST(gram.product(sums.data(), a, b) == expected, boost::test_tools::tolerance(1e-14));
        }
        BOOST_TEST(gram.sum(sums.data(), a) == gram.product(sums.data(), a, gram.taps()));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_gradient_of_a_value_lies_where_the_value_lay_once_nobody_reads_it) {
  const Network network = load_network("convnet");
  CpuDevice device = lanes_device(2);
  ParameterStore store(device, parameter_layout(network), true);
  const auto plan = device.prepare(network, {.mode = Mode::train, .batch = 1024, .loss = true}, store);
  // The largest moment: the end of the forward pass, when the input, as it was written and as it is read, two
  // maps of each block but the first (its convolution's and its own), logits and targets are kept. A gradient
  // beside them would add 3 MiB, the first block's maps 6 each.
  constexpr std::size_t kept = 2 * 28 * 28 + 2 * (16 * 7 * 7 + 32 * 4 * 4 + 64 * 2 * 2) + 4 * 10;
  BOOST_TEST(plan->workspace_bytes() < (kept * 4 * 1024) + (std::size_t{2} << 20U));
}

// As it is trained: nobody wants the input's gradient.
BOOST_AUTO_TEST_CASE(a_training_step_of_the_seed_network_agrees_with_the_reference) {
  OpCase row;
  row.name = "convnet";
  row.network = load_network("convnet");
  row.batch = 48;
  row.loss = true;
  row.seed = 11;
  reference::ReferenceDevice reference;
  CaseRun expected_run(reference, row, false);
  CpuDevice device = lanes_device(2);
  CaseRun run(device, row, false);
  const double tolerated = tolerance(DType::f32).whole_network;
  check_outcome(run.step(), expected_run.step(), run.store().layout(), tolerated, tolerated);
}

BOOST_AUTO_TEST_CASE(a_plan_that_only_loads_answers_alike_without_memory_for_the_plain_input) {
  const Network network = load_network("convnet");
  constexpr std::size_t batch = 32;
  constexpr std::size_t per_picture = std::size_t{28} * 28;
  std::vector<std::uint8_t> pictures(batch * per_picture);
  for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i] = static_cast<std::uint8_t>(i * 37 % 251);
  std::vector<std::uint32_t> indices(batch);
  std::iota(indices.begin(), indices.end(), 0U);
  CpuDevice device = lanes_device(2);
  ParameterStore store(device, parameter_layout(network), false);
  HostParameters parameters = store.download();
  for (std::size_t i = 0; i < parameters.trained.size(); ++i) {
    parameters.trained[i] = static_cast<float>(i % 11) / 7 - 0.6F;
  }
  std::fill(parameters.statistics.begin(), parameters.statistics.end(), 0.5F);
  store.upload(parameters);
  const auto plan = [&](bool loads_alone) {
    return BoundPlan(device, network, {.mode = Mode::infer, .batch = batch, .loads_alone = loads_alone}, store);
  };
  const auto logits = [&](const BoundPlan& of) {
    of->load({pictures, {}, network.input, &network.normalisation}, {indices});
    of->forward({});
    std::vector<float> values(batch * 10);
    of->read(Plan::Port::output, values);
    BOOST_TEST(!of->first_nonfinite_layer({}).has_value());
    return values;
  };
  const BoundPlan usual = plan(false);
  const BoundPlan small = plan(true);
  BOOST_TEST((logits(small) == logits(usual)));
  BOOST_TEST(largest(logits(small)) > 0);
  BOOST_TEST(small->workspace_bytes() + pictures.size() * sizeof(float) <= usual->workspace_bytes());
  BOOST_CHECK_THROW(static_cast<void>(small->port(Plan::Port::input)), Error);
}

BOOST_AUTO_TEST_CASE(convolutions_without_groups_are_computed_in_this_layout) {
  bool any = false;
  for (const OpCase* row : op_cases_of("conv")) {
    const OpCase wide = with_batch(*row, 16);
    CpuDevice device = lanes_device(1);
    CaseRun run(device, wide);
    for (const OperationReport& report : run.plan().explain(0)) {
      if (report.operation == "conv forward") any = any || report.layout == "n16chw";
    }
  }
  BOOST_TEST(any);
}

BOOST_AUTO_TEST_CASE(pictures_loaded_as_the_first_layer_reads_them_count_like_those_written_to_the_port) {
  NetworkBuilder builder({3, 5, 7});
  builder.add(Conv{.out = 8});
  builder.add(Flatten{});
  Network network = builder.build();
  network.normalisation = {{0.28F, 0.5F, 0.1F}, {0.35F, 0.25F, 1.0F}};
  constexpr std::size_t batch = 32;
  constexpr std::size_t per_picture = 105;
  std::vector<std::uint8_t> pictures(40 * per_picture);
  for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i] = static_cast<std::uint8_t>(i * 37 % 251);
  const std::vector<std::int32_t> labels(40, 1);
  const PictureSource source{pictures, labels, network.input, &network.normalisation};
  std::vector<std::uint32_t> indices(batch);
  for (std::size_t i = 0; i < batch; ++i) indices[i] = static_cast<std::uint32_t>((i * 7 + 3) % 40);

  const auto run = [&](auto&& load) {
    CpuDevice device = lanes_device(2);
    ParameterStore store(device, parameter_layout(network), true);
    HostParameters parameters = store.download();
    for (std::size_t i = 0; i < parameters.trained.size(); ++i) {
      parameters.trained[i] = static_cast<float>(i % 11) / 7 - 0.6F;
    }
    store.upload(parameters);
    const BoundPlan plan(device, network, {.mode = Mode::train, .batch = batch}, store);
    load(*plan);
    plan->forward({});
    std::vector<float> logits(batch * 8 * 3 * 5);
    plan->read(Plan::Port::output, logits);
    BOOST_TEST(!plan->first_nonfinite_layer({}).has_value());
    return logits;
  };
  std::vector<float> values(batch * per_picture);
  const std::vector<float> loaded = run([&](Plan& plan) { plan.load(source, {indices}); });
  const std::vector<float> looked_at = run([&](Plan& plan) {
    plan.load(source, {indices});
    plan.read(Plan::Port::input, values);
  });
  for (std::size_t n = 0; n < batch; ++n) {
    for (std::size_t i = 0; i < per_picture; ++i) {
      const std::size_t channel = i / 35;
      const float byte = pictures[indices[n] * per_picture + i];
      BOOST_TEST(values[n * per_picture + i] ==
                 (byte / 255.0F - network.normalisation.mean[channel]) / network.normalisation.std[channel]);
    }
  }
  const std::vector<float> written = run([&](Plan& plan) {
    plan.load(source, {std::vector<std::uint32_t>(batch, 0)});
    plan.write(Plan::Port::input, values);
  });
  BOOST_TEST((loaded == written));
  BOOST_TEST((looked_at == written));
}

BOOST_AUTO_TEST_CASE(views_of_pictures_lie_in_lanes_as_elsewhere) {
  constexpr std::size_t batch = 32;
  const Shape shape{3, 5, 19};  // more than sixteen pixels a row
  const auto per_picture = static_cast<std::size_t>(shape.elements());
  const Normalisation normalisation{{0.28F, 0.5F, 0.1F}, {0.35F, 0.25F, 1.0F}};
  std::vector<std::uint8_t> pictures(batch * per_picture);
  for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i] = static_cast<std::uint8_t>(i * 37 % 251);
  const PictureSource source{pictures, {}, shape, &normalisation};
  std::vector<std::uint32_t> indices(batch);
  for (std::size_t n = 0; n < batch; ++n) indices[n] = static_cast<std::uint32_t>((n * 7 + 3) % batch);
  const std::vector<PictureView> views = augmented_views({.flip = true, .shift = 3}, 1, 0, 0, batch);
  for (const Format format : {Format{DType::f32, n16chw}, Format{DType::bf16, n32chw}}) {
    const auto width = static_cast<std::size_t>(format.layout == n16chw ? 16 : 32);
    std::vector<float> room(batch * per_picture, 5.0F);  // at least as many bytes as there are in bf16
    load_pictures({2}, source, {indices, views},
                  Tensor{{format.type, shape.with_batch(batch), format.layout}, room.data()}, nullptr);
    for (std::size_t n = 0; n < batch; ++n) {
      for (std::int64_t c = 0; c < 3; ++c) {
        for (std::int64_t y = 0; y < 5; ++y) {
          for (std::int64_t x = 0; x < 19; ++x) {
            const auto pixel = static_cast<std::size_t>((c * 5 + y) * 19 + x);
            const std::size_t at = (n / width * per_picture + pixel) * width + n % width;
            const float value =
                format.type == DType::f32 ? room[at] : to_f32(reinterpret_cast<const Bf16*>(room.data())[at]);
            const double expected = reference::seen_pixel(source, indices[n], views[n], c, y, x);
            BOOST_REQUIRE(std::abs(value - expected) <=
                          tolerance(format.type).value * std::max(1.0, std::abs(expected)));
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(runs_reach_every_pair_of_input_and_output_once) {
  for (const Axis axis :
       {Axis{28, 14, 3, 2, 1, 1}, Axis{7, 4, 3, 2, 1, 1}, Axis{2, 1, 3, 2, 1, 1}, Axis{9, 9, 3, 1, 1, 1},
        Axis{11, 3, 3, 3, 0, 2}, Axis{5, 5, 1, 1, 0, 1}, Axis{6, 2, 2, 4, 0, 1}, Axis{1, 1, 3, 1, 1, 1}}) {
    Pairs expected;
    for (std::int64_t out = 0; out < axis.output; ++out) {
      for (std::int64_t k = 0; k < axis.kernel; ++k) {
        const std::int64_t in = out * axis.stride - axis.padding + k * axis.dilation;
        if (in >= 0 && in < axis.input) expected.insert({out, in});
      }
    }
    for (const std::int64_t longest : {1, 3}) {
      BOOST_TEST((reached(forward_runs(axis, longest), true) == expected));
      BOOST_TEST((reached(backward_runs(axis, longest), false) == expected));
      for (const AxisRun& run : backward_runs(axis, longest)) BOOST_TEST(run.count <= longest);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_reorder_puts_pictures_side_by_side_and_back) {
  for (const std::int64_t channels : {1, 3, 10}) {
    const TensorDesc plain{DType::f32, Shape{32, channels, 5, 2}};
    const TensorDesc in_lanes = plain.in({DType::f32, n16chw});
    const std::int64_t elements = channels * 10;
    const auto side_by_side = [&](std::int64_t n, std::int64_t i) {
      return static_cast<std::size_t>((n / lanes * elements + i) * lanes + n % lanes);
    };
    AlignedBytes first(plain.bytes());
    AlignedBytes turned(plain.bytes());
    AlignedBytes back(plain.bytes());
    auto* const values = static_cast<float*>(first.data());
    for (std::int64_t i = 0; i < 32 * elements; ++i) values[i] = static_cast<float>(i);

    const CpuContext context{2};
    const auto kernel = make_reorder_loops(plain, in_lanes.format(), true, context);
    Binding binding;
    binding.inputs = {first.data()};
    binding.output = turned.data();
    binding.output_gradient = turned.data();
    binding.input_gradients = {back.data()};
    kernel->bind(binding);
    kernel->forward({});
    kernel->backward({});
    for (std::int64_t n = 0; n < 32; ++n) {
      for (std::int64_t i = 0; i < elements; ++i) {
        BOOST_TEST(static_cast<const float*>(turned.data())[side_by_side(n, i)] == values[n * elements + i]);
      }
    }
    BOOST_TEST(std::equal(values, values + 32 * elements, static_cast<const float*>(back.data())));
    BOOST_TEST(make_reorder_loops(in_lanes, plain.format(), false, context) != nullptr);
  }
}

BOOST_AUTO_TEST_CASE(thirty_two_pictures_side_by_side_are_rounded_to_bf16) {
  for (const std::size_t elements : {1U, 8U, 16U, 37U}) {
    std::vector<float> pictures(elements * bf16_lanes);
    for (std::size_t i = 0; i < pictures.size(); ++i) pictures[i] = static_cast<float>(i * 7919 % 1009) / 3;
    pictures[elements * 5] = std::numeric_limits<float>::quiet_NaN();
    AlignedBytes turned(pictures.size() * sizeof(Bf16));
    auto* const found = static_cast<Bf16*>(turned.data());
    pictures_to_lanes(pictures.data(), found, static_cast<std::int64_t>(elements));
    for (std::size_t n = 0; n < bf16_lanes; ++n) {
      for (std::size_t i = 0; i < elements; ++i) {
        BOOST_TEST(found[i * bf16_lanes + n].bits == to_bf16(pictures[n * elements + i]).bits);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(reorders_between_other_formats_are_left_to_the_library) {
  const TensorDesc plain{DType::f32, Shape{32, 16, 5, 2}};
  BOOST_TEST(make_reorder_loops(plain, {DType::f32, nhwc}, false, {2}) == nullptr);
  BOOST_TEST(make_reorder_loops(plain.in({DType::f32, nhwc}), {DType::f32, n16chw}, false, {2}) == nullptr);
  BOOST_TEST(make_reorder_loops(plain, {DType::bf16, n32chw}, false, {2}) == nullptr);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
