// As much of CUDA's runtime as descent uses, on the host: the sources of src/cuda compile against it as plain
// C++, so that its kernels and its use of streams and graphs can be tested where there is no GPU, under
// sanitizers too. Only tests use it.
//
// A stream is a thread of the host: calls that only enqueue return at once, as on a GPU. Where a second stream
// takes part in a recording, what it does is played back as late as its waits allow. Device memory is memory of
// the host that begins as 0xFF (not-a-number).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

// The names are CUDA's.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __shared__ static thread_local
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(...)
#define CUDART_VERSION 13000

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned first = 1, unsigned second = 1, unsigned third = 1) : x(first), y(second), z(third) {}
};

inline thread_local uint3 threadIdx{0, 0, 0};
inline thread_local uint3 blockIdx{0, 0, 0};
inline thread_local dim3 blockDim;
inline thread_local dim3 gridDim;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorInvalidDevice = 101,
  cudaErrorNotReady = 600,
  cudaErrorStreamCaptureUnsupported = 900,
  cudaErrorStreamCaptureUnjoined = 904,
};
const char* cudaGetErrorName(cudaError_t status);
const char* cudaGetErrorString(cudaError_t status);
inline cudaError_t cudaGetLastError() {
  return cudaSuccess;
}

namespace cuda_host {

class Stream;
class Graph;
class Event;

// One letter a kernel's thread.
void sync_block();
void sync_warp();
std::uint64_t exchange(std::uint64_t value, unsigned from);  // among the lanes of a warp
unsigned lane();
void* dynamic_shared();

template <class T>
T exchange_value(T value, unsigned from) {
  static_assert(sizeof(T) <= sizeof(std::uint64_t) && std::is_trivially_copyable_v<T>);
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(bits, from);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

cudaError_t enqueue(Stream* stream, std::function<void()> work);
cudaError_t check_launch(const void* kernel, dim3 blocks, dim3 threads, std::size_t shared_bytes);
// All blocks; `body` is the kernel with its arguments. Aborts with a message where all threads wait for each
// other.
void run_grid(dim3 blocks, dim3 threads, std::size_t shared_bytes, const std::function<void()>& body);

}  // namespace cuda_host

using cudaStream_t = cuda_host::Stream*;
using cudaGraph_t = cuda_host::Graph*;
using cudaGraphExec_t = cuda_host::Graph*;
using cudaEvent_t = cuda_host::Event*;

// What device code calls.
inline void __syncthreads() {
  cuda_host::sync_block();
}
inline void __syncwarp(unsigned /*mask*/ = 0xffffffffU) {
  cuda_host::sync_warp();
}
inline void __threadfence() {}
inline void __threadfence_system() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
template <class T>
T __shfl_sync(unsigned /*mask*/, T value, int from, int /*width*/ = 32) {
  return cuda_host::exchange_value(value, static_cast<unsigned>(from));
}
template <class T>
T __shfl_xor_sync(unsigned /*mask*/, T value, int apart, int /*width*/ = 32) {
  return cuda_host::exchange_value(value, cuda_host::lane() ^ static_cast<unsigned>(apart));
}
template <class T>
T __shfl_down_sync(unsigned /*mask*/, T value, int apart, int /*width*/ = 32) {
  const unsigned from = cuda_host::lane() + static_cast<unsigned>(apart);
  return cuda_host::exchange_value(value, from < 32 ? from : cuda_host::lane());
}
template <class T>
T __ldg(const T* from) {
  return *from;
}
template <class T>
T atomicAdd(T* to, T value) {
  const T before = *to;
  *to = before + value;
  return before;
}
inline float __fmaf_rn(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline float __fsub_rn(float a, float b) {
  return a - b;
}
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __expf(float x) {
  return std::exp(x);
}
inline float rsqrtf(float x) {
  return 1 / std::sqrt(x);
}

// Launching.
struct cudaLaunchAttribute {};
struct cudaLaunchConfig_t {
  dim3 gridDim;
  dim3 blockDim;
  std::size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  const cudaError_t status = cuda_host::check_launch(reinterpret_cast<const void*>(kernel), config->gridDim,
                                                     config->blockDim, config->dynamicSmemBytes);
  if (status != cudaSuccess) return status;
  return cuda_host::enqueue(config->stream,
                            [config = *config, kernel,
                             parameters = std::tuple<Parameters...>(std::forward<Arguments>(arguments)...)] {
                              cuda_host::run_grid(config.gridDim, config.blockDim, config.dynamicSmemBytes,
                                                  [&] { std::apply(kernel, parameters); });
                            });
}
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute attribute, int value);

struct cudaFuncAttributes {
  int ptxVersion;
  std::size_t sharedSizeBytes;
};
template <class... Parameters>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (* /*function*/)(Parameters...)) {
  *attributes = {90, 0};
  return cudaSuccess;
}

// Devices.
struct cudaDeviceProp {
  char name[256];
  std::size_t totalGlobalMem;
  int major, minor;
  int multiProcessorCount;
  std::size_t sharedMemPerBlockOptin;
};
cudaError_t cudaGetDeviceCount(int* count);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal);
cudaError_t cudaSetDevice(int ordinal);
cudaError_t cudaRuntimeGetVersion(int* version);
cudaError_t cudaDriverGetVersion(int* version);
cudaError_t cudaDeviceSynchronize();
enum cudaDeviceAttr { cudaDevAttrClockRate = 13, cudaDevAttrMultiProcessorCount = 16 };
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int ordinal);

// Memory.
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};
inline constexpr unsigned cudaHostAllocDefault = 0;
inline constexpr unsigned cudaHostAllocMapped = 2;
cudaError_t cudaMalloc(void** address, std::size_t bytes);
cudaError_t cudaFree(void* address);
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total);
cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* address);
cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags);
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream);

// Streams, events, graphs.
inline constexpr unsigned cudaStreamNonBlocking = 1;
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority);
cudaError_t cudaDeviceGetStreamPriorityRange(int* last, int* first);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaStreamQuery(cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
inline constexpr unsigned cudaEventDefault = 0;
inline constexpr unsigned cudaEventDisableTiming = 2;
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end);
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph);
inline constexpr unsigned long long cudaGraphInstantiateFlagUseNodePriority = 8;
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable);

namespace cuda_host {

// Graphs launched so far by this process: tests see whether a step was replayed.
std::size_t graph_launches();
// Into all streams that there are.
void enqueue_everywhere(const std::function<void()>& work);

}  // namespace cuda_host
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
