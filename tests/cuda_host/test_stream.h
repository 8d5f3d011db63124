// A stream, and arrays in the memory that its kernels see.
#pragma once

#include "cuda/check.h"
#include "cuda/context.h"
#include "cuda/side_stream.h"
#include "descent/error.h"

#include <cstddef>
#include <memory>
#include <vector>

namespace descent::test {

class TestStream {
 public:
  explicit TestStream(bool beside = false) {
    check(cudaStreamCreateWithFlags(&context_.stream, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    context_.multiprocessors = 3;
    context_.compute = 90;
    context_.shared_bytes = std::size_t{227} << 10U;
    context_.tensor_cores = true;
    if (beside) side_ = std::make_unique<SideStream>(context_.stream);
    context_.side = side_.get();
  }
  TestStream(const TestStream&) = delete;
  TestStream& operator=(const TestStream&) = delete;
  ~TestStream() {
    side_.reset();
    cudaStreamDestroy(context_.stream);
  }

  [[nodiscard]] const CudaContext& context() const { return context_; }
  void wait() const { check(cudaStreamSynchronize(context_.stream), "cudaStreamSynchronize"); }

 private:
  CudaContext context_;
  std::unique_ptr<SideStream> side_;
};

template <class T>
class DeviceArray {
 public:
  DeviceArray(const TestStream& stream, std::size_t count) : stream_(&stream), count_(count) {
    void* address = nullptr;
    check(cudaMalloc(&address, count * sizeof(T)), "cudaMalloc");
    data_ = static_cast<T*>(address);
  }
  DeviceArray(const TestStream& stream, const std::vector<T>& values) : DeviceArray(stream, values.size()) {
    check(cudaMemcpyAsync(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice,
                          stream.context().stream),
          "cudaMemcpyAsync");
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() {
    stream_->wait();
    cudaFree(data_);
  }

  [[nodiscard]] T* data() const { return data_; }
  [[nodiscard]] std::vector<T> download() const {
    std::vector<T> values(count_);
    check(cudaMemcpyAsync(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost,
                          stream_->context().stream),
          "cudaMemcpyAsync");
    stream_->wait();
    return values;
  }

 private:
  const TestStream* stream_;
  std::size_t count_;
  T* data_ = nullptr;
};

}  // namespace descent::test
