// Sums that normalise what they load, and gradients that are summed up where they are written: the bits of
// separate passes.
#include "cuda/join_passes.h"
#include "descent/random.h"
#include "plan/element.h"
#include "test_stream.h"

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <vector>

namespace descent::test {

namespace {

constexpr GeneralRelu limited{.leak = 0.1, .sub = 0.2, .maxv = 0.7};

template <class Element>
std::vector<Element> noise(std::size_t count, std::uint32_t seed) {
  std::vector<Element> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = to_element<Element>(static_cast<float>(normal_pair({seed, Purpose::demo, 0, 0}, i)[0]));
  return values;
}

template <class Element>
std::vector<float> floats(const std::vector<Element>& values) {
  std::vector<float> all;
  for (const Element value : values) all.push_back(to_f32(value));
  return all;
}

// What normalises a channel, on the device.
struct Norm {
  std::vector<ChannelForward> by;
  std::vector<ChannelMoments> moments;

  explicit Norm(int channels) {
    for (int i = 0; i < channels; ++i) {
      const float number = static_cast<float>(i % 7) / 7;
      by.push_back({number - 0.3F, 1.0F + number, 0.5F - number});
      moments.push_back({static_cast<double>(number) - 0.3, 1.0 + static_cast<double>(number)});
    }
  }
};

template <class Element>
void check_join(const NormRows& shape) {
  const auto count = static_cast<std::size_t>(shape.rows) * static_cast<std::size_t>(shape.channels);
  const TestStream stream;
  const CudaContext& context = stream.context();
  const Norm norm(shape.channels);
  const ReluRule between({.leak = 0.5});
  const ReluRule rule(limited);
  const DeviceArray<Element> z(stream, noise<Element>(count, 1));
  const DeviceArray<Element> other(stream, noise<Element>(count, 2));
  const DeviceArray<ChannelForward> by(stream, norm.by);

  // Forward, with one input normalised and with both.
  const auto apart = [&](const Element* from) {
    const DeviceArray<Element> y(stream, count);
    normalise(context, shape, from, by.data(), between, y.data());
    return floats(y.download());
  };
  const std::vector<float> first = apart(z.data());
  for (const bool both : {false, true}) {
    const std::vector<float> second = both ? apart(other.data()) : floats(other.download());
    const DeviceArray<Element> y(stream, count);
    const DeviceArray<Slope> slopes(stream, count);
    const SumInput<Element> a{z.data(), by.data(), between};
    const SumInput<Element> b{other.data(), both ? by.data() : nullptr,
                              both ? between : ReluRule(no_activation)};
    add_normalised(context, shape, a, b, SumEnding<Element>{rule, y.data(), slopes.data()});
    const std::vector<float> found = floats(y.download());
    const std::vector<Slope> kept = slopes.download();
    for (std::size_t i = 0; i < count; ++i) {
      const float sum = first[i] + second[i];
      BOOST_REQUIRE_EQUAL(found[i], to_f32(to_element<Element>(rule.value(sum))));
      const float slope = kept[i] == Slope::one ? 1.0F : kept[i] == Slope::leak ? rule.leak : 0.0F;
      BOOST_REQUIRE_EQUAL(slope, rule.gradient(sum, 1.0F));
    }
  }

  // Backward, from one to three readers.
  std::vector<Slope> slopes(count);
  for (std::size_t i = 0; i < count; ++i) slopes[i] = static_cast<Slope>(i % 3);
  const DeviceArray<Slope> kept(stream, slopes);
  const DeviceArray<Element> third(stream, noise<Element>(count, 3));
  const DeviceArray<ChannelMoments> moments(stream, norm.moments);
  const DeviceArray<float> scale(stream, std::vector<float>(norm.by.size(), 1.5F));
  const DeviceArray<ChannelSums> partial(stream, shape.partial_bytes() / sizeof(ChannelSums));
  const DeviceArray<unsigned> counters(stream, std::vector<unsigned>(norm.by.size()));
  const PartialSums sums{partial.data(), counters.data()};
  const auto gradients = [&](const DeviceArray<ChannelBackward>& back) {
    return NormGradients{
        static_cast<double>(shape.rows), scale.data(), moments.data(), nullptr, nullptr, back.data()};
  };
  const std::vector<std::vector<float>> host{floats(z.download()), floats(other.download()),
                                             floats(third.download())};
  std::vector<void*> branches;
  for (void* const branch : {z.data(), other.data(), third.data()}) {
    branches.push_back(branch);
    const DeviceArray<Element> g(stream, count);
    const DeviceArray<ChannelBackward> together(stream, norm.by.size());
    const DeviceArray<ChannelBackward> separate(stream, norm.by.size());
    with_branches<Element>(branches, [&]<int known>(const Branches<Element, known>& all) {
      sum_gradient_with_sums(context, shape, SumGradient<Element, known>{all, kept.data(), 0.1F, g.data()},
                             {z.data(), by.data(), between, nullptr, counters.data(), gradients(together)},
                             sums);
    });
    const std::vector<float> found = floats(g.download());
    for (std::size_t i = 0; i < count; ++i) {
      float total = 0;
      for (std::size_t which = 0; which < branches.size(); ++which) total += host[which][i];
      const float slope = slopes[i] == Slope::one ? 1.0F : slopes[i] == Slope::leak ? 0.1F : 0.0F;
      const float rounded = to_f32(to_element<Element>(total));
      BOOST_REQUIRE_EQUAL(found[i], to_f32(to_element<Element>(slope * rounded)));
    }
    norm_gradient_sums(context, shape, z.data(), static_cast<const Element*>(g.data()), by.data(), between,
                       sums, gradients(separate));
    const std::vector<ChannelBackward> expected = separate.download();
    const std::vector<ChannelBackward> back = together.download();
    for (std::size_t i = 0; i < back.size(); ++i) {
      BOOST_TEST(back[i].gain == expected[i].gain);
      BOOST_TEST(back[i].slope == expected[i].slope);
      BOOST_TEST(back[i].shift == expected[i].shift);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_kernels)

BOOST_AUTO_TEST_CASE(a_sum_that_spares_passes_has_the_bits_of_separate_ones) {
  for (const NormRows& shape : {NormRows{37, 5}, NormRows{130, 16}, NormRows{3, 136}}) {
    check_join<float>(shape);
    check_join<Bf16>(shape);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
