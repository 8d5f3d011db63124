// Bytes on their way to the device, beside what it computes.
#include "cuda/staging.h"
#include "cuda/check.h"
#include "emulated_device.h"
#include "test_stream.h"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>
#include <thread>
#include <vector>

namespace descent::test {

namespace {

// The numbers are on their way; what follows on the stream copies them from where they arrive.
const int* send(Staging& staging, const TestStream& stream, const std::vector<int>& numbers, int* to) {
  const std::size_t bytes = numbers.size() * sizeof(int);
  std::memcpy(staging.take(bytes), numbers.data(), bytes);
  const std::byte* const there = staging.send(bytes);
  check(cudaMemcpyAsync(to, there, bytes, cudaMemcpyDeviceToDevice, stream.context().stream),
        "cudaMemcpyAsync");
  return reinterpret_cast<const int*>(there);
}

bool turns_to(const int* place, int number) {
  const std::atomic_ref<int> seen(*const_cast<int*>(place));  // another thread writes it
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (seen != number) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(staging)

// A place on the device is used again only when what was to read it has.
BOOST_AUTO_TEST_CASE(bytes_arrive_while_the_device_is_busy_and_wait_for_who_reads_them) {
  constexpr int sends = 6;  // more than there are places
  const TestStream stream;
  const DeviceArray<int> values(stream, sends);
  std::optional<HeldStreams> busy(std::in_place);
  Staging staging(stream.context());
  BOOST_REQUIRE(turns_to(send(staging, stream, {7}, values.data()), 7));
  for (int i = 1; i < sends; ++i) send(staging, stream, {7 + i}, values.data() + i);
  busy.reset();
  std::vector<int> expected(sends);
  std::iota(expected.begin(), expected.end(), 7);
  BOOST_TEST(values.download() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(batches_may_grow) {
  const TestStream stream;
  Staging staging(stream.context());
  for (const std::size_t count : {1, 5, 3, 9, 2, 1000, 1 << 20, 8, 2 << 20}) {
    std::vector<int> numbers(count);
    std::iota(numbers.begin(), numbers.end(), static_cast<int>(count));
    const DeviceArray<int> values(stream, count);
    send(staging, stream, numbers, values.data());
    BOOST_TEST((values.download() == numbers), count << " numbers");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
