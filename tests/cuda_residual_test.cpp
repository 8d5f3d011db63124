// Residual blocks on CUDA devices: a sum normalises what it loads, adds up the gradients of its readers and
// takes the sums that a normalisation before it begins its backward with. By descent's convolutions and by a
// library's.
#include "compare.h"
#include "cuda_host/emulated_device.h"
#include "cuda_host/naive_libraries.h"
#include "network_builder.h"
#include "reference/device.h"
#include "tolerances.h"
#include "watched_step.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace descent::test {
namespace {

struct Residual {
  OpCase row;
  std::vector<std::size_t> sums;  // the layers that end them: activations
};

struct Sizes {
  std::int64_t first;  // channels
  std::int64_t then;
  std::int64_t height = 9;
  std::int64_t batch = 36;
};
constexpr Sizes in_packs{16, 24};
constexpr Sizes not_in_packs{6, 10};
// Gradients that somebody reads after their memory was given away lie half under what is written there.
constexpr Sizes half_over_each_other{8, 4, 5, 4};

// A block whose input goes on as it is, one whose input goes on through a normalised convolution of its own,
// and one that three read, with its sum's inputs the other way round.
Residual residual_blocks(const GeneralRelu& activation, const Sizes& sizes) {
  NetworkBuilder builder({4, sizes.height, 9});
  Residual blocks;
  const std::int64_t few = sizes.first;
  const std::int64_t many = sizes.then;
  const auto unit = [&](const Conv& conv, ValueId from) {
    return builder.add(BatchNorm{}, {builder.add(conv, {from})});
  };
  const auto activated = [&](const Conv& conv, ValueId from) {
    return builder.add(activation, {unit(conv, from)});
  };
  const auto sum = [&](ValueId a, ValueId b) {
    const ValueId end = builder.add(activation, {builder.add(Add{}, {a, b})});
    blocks.sums.push_back(end - 1);
    return end;
  };
  const ValueId stem = activated({.out = few, .padding = {1, 1}}, 0);
  const ValueId narrow = activated({.out = 8, .kernel = {1, 1}}, stem);
  const ValueId first = sum(unit({.out = few, .padding = {1, 1}}, narrow), stem);
  const Conv halved{.out = many, .stride = {2, 2}, .padding = {1, 1}, .bias = false};
  const ValueId inner = unit({.out = many, .padding = {1, 1}}, activated(halved, first));
  const ValueId second = sum(inner, unit({.out = many, .kernel = {1, 1}, .stride = {2, 2}}, first));
  const ValueId third = sum(second, unit({.out = many, .padding = {1, 1}}, second));
  const ValueId before = builder.add(Conv{.out = many, .kernel = {1, 1}}, {third});
  sum(before, sum(third, builder.add(Conv{.out = many, .kernel = {1, 1}}, {third})));
  builder.add(GlobalAvgPool{});
  blocks.row.name = "residual blocks";
  blocks.row.network = builder.build();
  blocks.row.batch = sizes.batch;
  blocks.row.seed = 78;
  return blocks;
}

std::vector<TestedDevice> residual_devices() {
  std::vector<TestedDevice> all = cuda_devices();
  DeviceOptions library = by_rule(1);
  library.kernels = Kernels::library;
  const LibrariesAreThere scope;
  all.push_back({"cuda on the host, a library's convolutions", make_emulated_cuda(library)});
  if (find_gpu() != nullptr) all.push_back({"cuda, the library's convolutions", make_device("cuda", library)});
  return all;
}

const GeneralRelu leaky{.leak = 0.1, .sub = 0.2};
const GeneralRelu limited{.leak = 0.1, .maxv = 0.7};

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_residual)

BOOST_AUTO_TEST_CASE(blocks_agree_with_the_reference) {
  for (const Sizes& sizes : {in_packs, not_in_packs, half_over_each_other}) {
    for (const GeneralRelu& activation : {leaky, limited}) {
      const OpCase row = residual_blocks(activation, sizes).row;
      reference::ReferenceDevice reference;
      CaseRun expected(reference, row);
      const Outcome truth = expected.step();
      for (const auto& [name, device] : residual_devices()) {
        BOOST_TEST_CONTEXT(name << ", " << sizes.first << " channels" << (activation.maxv ? ", limited" : "")) {
          CaseRun run(*device, row);
          const double tolerated = tolerance(DType::f32).whole_network;
          check_outcome(run.step(), truth, run.store().layout(), tolerated, tolerated);
          check_outcome(run.step(), truth, run.store().layout(), tolerated, tolerated);  // recorded
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(watching_a_block_changes_no_bit) {
  const Residual blocks = residual_blocks(limited, in_packs);
  std::vector<std::size_t> all(blocks.row.network.layers.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  for (const auto& [name, device] : residual_devices()) {
    for (const DType precision : {DType::f32, DType::bf16}) {
      BOOST_TEST_CONTEXT(name << ", " << descent::name(precision)) {
        const auto unwatched = step_watching(*device, blocks.row, {}, true, precision);
        BOOST_TEST((step_watching(*device, blocks.row, blocks.sums, true, precision) == unwatched));
        if (precision == DType::bf16) continue;  // what lies between layers is rounded where it is watched
        BOOST_TEST((step_watching(*device, blocks.row, all, true, precision) == unwatched));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(gradients_are_added_up_where_they_are_read_unless_somebody_watches_their_sum) {
  const Residual blocks = residual_blocks(limited, in_packs);
  for (const TestedDevice& tested : residual_devices()) {
    BOOST_TEST_CONTEXT(tested.name) {
      const auto passes = [&](const std::vector<std::size_t>& layers) {
        const WatchedPlan plan(*tested.device, blocks.row, layers, false);
        plan.forward();
        const std::vector<OperationReport> reports = plan.plan->explain(1);
        return std::ranges::count(reports, std::string("gradient sum"), &OperationReport::operation);
      };
      BOOST_TEST(passes({}) == 1);  // of the stem, which ends in no sum
      BOOST_TEST(passes({blocks.sums[0], blocks.sums[2]}) == 3);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
