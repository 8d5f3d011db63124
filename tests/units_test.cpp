#include "plan/units.h"

#include "descent/error.h"
#include "descent/network.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace descent;

namespace {

// Claims every run of `operations` as one kernel; prepares nothing.
class Claimer final : public KernelFactory {
 public:
  explicit Claimer(std::vector<std::string> operations) : operations_(std::move(operations)) {}

  [[nodiscard]] std::size_t claim(std::span<const Layer* const> run, const PlanRequest&) const override {
    if (run.size() < operations_.size()) return 1;
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      if (name(run[i]->op) != operations_[i]) return 1;
    }
    return operations_.size();
  }
  void consider(std::span<const KernelRequest>) override {}
  std::unique_ptr<Kernel> prepare(const KernelRequest&) override { return nullptr; }
  [[nodiscard]] DType port_type() const override { return DType::f32; }
  [[nodiscard]] bool same_bytes(const TensorDesc&, Format) const override { return true; }
  std::unique_ptr<Kernel> prepare_reorder(const TensorDesc&, Format, bool) override { return nullptr; }
  std::unique_ptr<Kernel> prepare_gradient_sum(const TensorDesc&, std::size_t, Kernel*) override {
    return nullptr;
  }
  [[nodiscard]] bool loads_into(const TensorDesc&) const override { return false; }
  void load(const PictureSource&, const PictureBatch&, const Tensor&, const Tensor*) override {}

 private:
  std::vector<std::string> operations_;
};

std::vector<std::string> unit_names(const Network& network, const PlanRequest& request,
                                    std::vector<std::string> claimed) {
  const PlannedLayers planned = planned_layers(network, request);
  std::vector<std::string> names;
  for (const Unit& unit : partition(planned, Claimer(std::move(claimed)), request))
    names.push_back(unit.name());
  return names;
}

const Network& convnet() {
  static const Network network = load_network("convnet");
  return network;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(units)

BOOST_AUTO_TEST_CASE(a_layer_nobody_claims_stands_alone) {
  const auto names = unit_names(convnet(), {.loss = true}, {"nothing"});
  BOOST_TEST(names.size() == convnet().layers.size() + 1);
  BOOST_TEST(names.front() == "0.0");
  BOOST_TEST(names.back() == "loss");
}

BOOST_AUTO_TEST_CASE(a_device_claims_neighbours_as_one_unit) {
  const auto names = unit_names(convnet(), {}, {"conv", "batch_norm", "general_relu"});
  const std::vector<std::string> expected{
      "0.0 + 0.1 + 0.2", "1.0 + 1.1 + 1.2", "2.0 + 2.1 + 2.2", "3.0 + 3.1 + 3.2", "4.0", "5"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_watched_layer_ends_its_unit) {
  PlanRequest request;
  request.mode = Mode::train;
  request.watch = {{1, true, true}, {5, true, true}};
  const auto names = unit_names(convnet(), request, {"conv", "batch_norm", "general_relu"});
  const std::vector<std::string> expected{"0.0", "0.1", "0.2", "1.0 + 1.1 + 1.2"};
  BOOST_TEST(std::vector<std::string>(names.begin(), names.begin() + 4) == expected,
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_value_with_two_readers_is_not_swallowed) {
  const Network network = load_network("resnet18");
  const auto names = unit_names(network, {}, {"general_relu", "conv"});  // a block's output feeds two
  const bool swallowed = std::any_of(
      names.begin(), names.end(), [](const std::string& name) { return name.find("layer1.0.relu2 + ") == 0; });
  BOOST_TEST(!swallowed);
  BOOST_TEST(names.size() < network.layers.size());  // inside the blocks there are such pairs
}

BOOST_AUTO_TEST_CASE(a_residual_sum_joins_the_run_that_ends_in_it) {
  const Network network = load_network("resnet18");
  const PlannedLayers planned = planned_layers(network, {});
  for (const Unit& unit : partition(planned, Claimer({"batch_norm", "add", "general_relu"}), {})) {
    if (unit.layers.size() != 3) continue;
    BOOST_TEST(unit.inputs.size() == 2U);
    return;
  }
  BOOST_ERROR("no residual sum was claimed");
}

BOOST_AUTO_TEST_CASE(the_logits_are_not_swallowed_by_the_loss) {
  const auto names =
      unit_names(convnet(), {.mode = Mode::train, .loss = true}, {"flatten", "softmax_cross_entropy"});
  BOOST_TEST(names.back() == "loss");
}

BOOST_AUTO_TEST_SUITE_END()
