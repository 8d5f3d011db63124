// What tests of CUDA kernels on the host rely on.
#include "cuda/launch.h"
#include "cuda/mailbox.h"
#include "cuda/recording.h"
#include "cuda/side_stream.h"
#include "cuda/sums.h"
#include "test_stream.h"

#include <boost/test/unit_test.hpp>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace descent::test {

namespace {

__global__ void number(int* to, int count) {
  for (const std::int64_t i : grid_stride(count)) to[i] = static_cast<int>(i) + 1;
}

__global__ void reverse(int* values) {
  int* const shared = dynamic_shared<int>();
  shared[threadIdx.x] = values[blockIdx.x * blockDim.x + threadIdx.x];
  __syncthreads();
  values[blockIdx.x * blockDim.x + threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
}

__global__ void add_up(const double* values, double* sums) {
  __shared__ double shared[32];
  const double sum = block_sum(values[blockIdx.x * blockDim.x + threadIdx.x], shared);
  if (threadIdx.x == blockDim.x - 1) sums[blockIdx.x] = sum;
}

__global__ void add_up_some(int* sums) {
  if (threadIdx.x >= 40) return;  // threads that have ended are not waited for
  __shared__ int values[40];
  values[threadIdx.x] = static_cast<int>(threadIdx.x);
  __syncthreads();
  int sum = 0;
  for (const int value : values) sum += value;
  sums[threadIdx.x] = sum;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cuda_on_host)

BOOST_AUTO_TEST_CASE(every_element_is_met_once_by_any_grid) {
  const TestStream stream;
  for (const int count : {1, 255, 257, 100000}) {
    DeviceArray<int> values(stream, static_cast<std::size_t>(count));
    launch(stream.context(), "number", grid_for(stream.context(), count), number, values.data(), count);
    const std::vector<int> host = values.download();
    for (int i = 0; i < count; ++i) BOOST_REQUIRE_EQUAL(host[static_cast<std::size_t>(i)], i + 1);
  }
}

BOOST_AUTO_TEST_CASE(threads_of_a_block_wait_for_each_other) {
  const TestStream stream;
  DeviceArray<int> values(stream, std::size_t{3} * 96);
  launch(stream.context(), "number", {3, 96}, number, values.data(), 3 * 96);
  launch(stream.context(), "reverse", {3, 96, 96 * sizeof(int)}, reverse, values.data());
  const std::vector<int> host = values.download();
  for (int i = 0; i < 3 * 96; ++i)
    BOOST_REQUIRE_EQUAL(host[static_cast<std::size_t>(i)], i / 96 * 96 + (95 - i % 96) + 1);
  DeviceArray<int> sums(stream, 40);
  launch(stream.context(), "add_up_some", {1, 64}, add_up_some, sums.data());
  for (const int sum : sums.download()) BOOST_TEST(sum == 39 * 40 / 2);
}

BOOST_AUTO_TEST_CASE(sums_of_a_block_meet_every_thread) {
  const TestStream stream;
  std::vector<double> host(std::size_t{4} * 1024);
  for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<double>(i * i % 1001);
  DeviceArray<double> values(stream, host);
  for (const unsigned threads : {32U, 96U, 1024U}) {
    DeviceArray<double> sums(stream, 4);
    launch(stream.context(), "add_up", {4, threads}, add_up, values.data(), sums.data());
    const std::vector<double> actual = sums.download();
    for (std::size_t block = 0; block < 4; ++block) {
      double expected = 0;
      for (std::size_t i = 0; i < threads; ++i) expected += host[block * threads + i];
      BOOST_TEST(actual[block] == expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_letter_arrives_in_the_order_of_the_stream) {
  const TestStream stream;
  std::vector<std::uint32_t> host(1000);
  DeviceArray<std::uint32_t> values(stream, host.size());
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = static_cast<std::uint32_t>(i) * 7 + round;
    post(stream.context(), values.data(), std::as_bytes(std::span(host)));
  }
  const std::vector<std::uint32_t> sent = host;
  host.assign(host.size(), 0);  // what is posted was taken along
  BOOST_TEST((values.download() == sent));
}

BOOST_AUTO_TEST_CASE(an_error_names_the_call) {
  const TestStream stream;
  const auto message_of = [](const auto& work) -> std::string {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::string of_launch = message_of([&] {
    launch(stream.context(), "number", {1, 2048}, number, static_cast<int*>(nullptr), 0);
  });
  BOOST_TEST(of_launch == "number failed: invalid configuration argument (cudaErrorInvalidConfiguration)");
  void* address = nullptr;
  const std::string of_memory =
      message_of([&] { check(cudaMalloc(&address, std::size_t{1} << 60U), "cudaMalloc"); });
  BOOST_TEST(of_memory == "cudaMalloc failed: out of memory (cudaErrorMemoryAllocation)");
}

BOOST_AUTO_TEST_CASE(fresh_memory_is_not_a_number) {
  const TestStream stream;
  for (const float value : DeviceArray<float>(stream, 100).download()) BOOST_TEST(std::isnan(value));
}

// A second stream's part of a recording is played back as late as its waits allow, and must be waited for.
BOOST_AUTO_TEST_CASE(work_beside_is_late_and_waited_for) {
  const TestStream stream(true);
  SideStream& side = *stream.context().side;
  DeviceArray<int> values(stream, std::vector<int>{0, 0});
  const auto put = [&](const CudaContext& context, int at, const int* from) {
    check(cudaMemcpyAsync(values.data() + at, from, sizeof(int), cudaMemcpyDeviceToDevice, context.stream),
          "cudaMemcpyAsync");
  };
  const DeviceArray<int> source(stream, std::vector<int>{1, 2});
  const RecordedWork work = record_work(stream.context().stream, [&] {
    side.advance();
    run_beside(stream.context(), [&](const CudaContext& context) { put(context, 0, source.data()); });
    side.advance();
    put(stream.context(), 0, source.data() + 1);  // overtakes: nobody has waited yet
    side.advance();
    put(stream.context(), 1, values.data());
    side.catch_up();
  });
  check(cudaGraphLaunch(work.get(), stream.context().stream), "cudaGraphLaunch");
  BOOST_TEST((values.download() == std::vector<int>{1, 1}));
}

BOOST_AUTO_TEST_CASE(a_recording_that_leaves_something_beside_is_refused) {
  const TestStream stream(true);
  SideStream& side = *stream.context().side;
  const auto forgets = [&] {
    static_cast<void>(record_work(stream.context().stream, [&] {
      run_beside(stream.context(), [&](const CudaContext& context) {
        launch(context, "number", {1, 1}, number, static_cast<int*>(nullptr), 0);
      });
    }));
  };
  BOOST_CHECK_THROW(forgets(), Error);
  side.forget();
  side.catch_up();  // nothing is waited for
  stream.wait();
}

BOOST_AUTO_TEST_CASE(more_shared_memory_than_all_may_have_is_granted_first) {
  const TestStream stream;
  DeviceArray<int> values(stream, 96);
  launch(stream.context(), "number", {1, 96}, number, values.data(), 96);
  launch(stream.context(), "reverse", {1, 96, std::size_t{45} << 10U}, reverse, values.data());
  BOOST_TEST(values.download().front() == 96);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace descent::test
