#include "cuda_runtime.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace cuda_host {

using Works = std::vector<std::function<void()>>;

class Graph {
 public:
  std::shared_ptr<Works> nodes = std::make_shared<Works>();  // shared with launches that are still to run
  std::vector<Stream*> joined;  // streams that waited for the recorded one while it was recorded
};

// A place in a stream: reached once all before it is done.
class Marker {
 public:
  void reach() {
    const std::lock_guard lock(mutex_);
    reached_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return reached_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reached_ = false;
};

class Event {
 public:
  std::chrono::steady_clock::time_point when;
  Stream* stream = nullptr;
  std::shared_ptr<Marker> marker;
  // In a recording: whose, and how much of the stream's late work is before it.
  Graph* recorded_in = nullptr;
  std::size_t late = 0;
};

// Work in order, done by a thread of its own.
class Stream {
 public:
  Stream() : worker_([this] { work(); }) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    worker_.join();
  }

  void add(std::function<void()> work) {
    if (capturing != nullptr) {
      (is_joined ? late : *capturing->nodes).push_back(std::move(work));
      return;
    }
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(work));
    }
    changed_.notify_all();
  }

  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return queue_.empty(); });
  }
  [[nodiscard]] bool is_idle() {
    const std::lock_guard lock(mutex_);
    return queue_.empty();
  }

  // The first `count` works that were put off have to be done now.
  void play_late(std::size_t count) {
    for (; played < count; ++played) capturing->nodes->push_back(late[played]);
  }

  Graph* capturing = nullptr;
  // Where the stream takes part in the recording of another: its work so far, of which some is in the graph.
  bool is_joined = false;
  Works late;
  std::size_t played = 0;

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return ended_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::function<void()>& next = queue_.front();  // stays where it is while others are added
      lock.unlock();
      next();
      lock.lock();
      queue_.pop_front();
      if (queue_.empty()) changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool ended_ = false;
  std::thread worker_;  // last: it uses all of the above
};

namespace {

enum class Kind { device, pinned };

struct Block {
  std::size_t bytes;
  Kind kind;
};

// Everything allocated.
class Memory {
 public:
  cudaError_t allocate(void** address, std::size_t bytes, Kind kind) {
    constexpr std::size_t alignment = 256;
    if (bytes > most) return cudaErrorMemoryAllocation;
    *address = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (*address == nullptr) return cudaErrorMemoryAllocation;
    std::memset(*address, 0xFF, bytes);
    const std::lock_guard lock(mutex_);
    blocks_[static_cast<const char*>(*address)] = {bytes, kind};
    return cudaSuccess;
  }
  cudaError_t release(void* address, Kind kind) {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(static_cast<const char*>(address));
    if (found == blocks_.end() || found->second.kind != kind) return cudaErrorInvalidValue;
    blocks_.erase(found);
    std::free(address);
    return cudaSuccess;
  }
  [[nodiscard]] bool holds(const void* address, std::size_t bytes, Kind kind) {
    const std::lock_guard lock(mutex_);
    const auto* const at = static_cast<const char*>(address);
    auto found = blocks_.upper_bound(at);
    if (found == blocks_.begin()) return false;
    --found;
    return found->second.kind == kind && at + bytes <= found->first + found->second.bytes;
  }

  static constexpr std::size_t most = std::size_t{4} << 30U;

 private:
  std::mutex mutex_;
  std::map<const char*, Block> blocks_;
};

Memory& memory() {
  static Memory one;
  return one;
}

// All streams: releasing memory waits for them, as on a GPU.
class Streams {
 public:
  void add(Stream* stream) {
    const std::lock_guard lock(mutex_);
    all_.insert(stream);
  }
  void remove(Stream* stream) {
    const std::lock_guard lock(mutex_);
    all_.erase(stream);
  }
  void wait() {
    const std::lock_guard lock(mutex_);
    for (Stream* stream : all_) stream->wait();
  }
  void enqueue(const std::function<void()>& work) {
    const std::lock_guard lock(mutex_);
    for (Stream* stream : all_) stream->add(work);
  }

 private:
  std::mutex mutex_;
  std::set<Stream*> all_;
};

Streams& streams() {
  static Streams all;
  return all;
}

std::atomic<std::size_t>& launches() {
  static std::atomic<std::size_t> count{0};
  return count;
}

bool is_capturing(const Stream* stream) {
  return stream != nullptr && stream->capturing != nullptr;
}

}  // namespace

cudaError_t enqueue(Stream* stream, std::function<void()> work) {
  if (stream == nullptr) return cudaErrorInvalidValue;  // descent has streams of its own
  stream->add(std::move(work));
  return cudaSuccess;
}

// What kernels may ask for of dynamic shared memory, where they were granted more than any may.
class Grants {
 public:
  void set(const void* kernel, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes_[kernel] = bytes;
  }
  // Without a grant 48 KiB go round, of which a kernel's own arrays take some: how much is not known here.
  [[nodiscard]] bool allow(const void* kernel, std::size_t bytes) {
    constexpr std::size_t always = std::size_t{44} << 10U;
    const std::lock_guard lock(mutex_);
    const auto found = bytes_.find(kernel);
    return bytes <= (found == bytes_.end() ? always : found->second);
  }

 private:
  std::mutex mutex_;
  std::map<const void*, std::size_t> bytes_;
};

Grants& grants() {
  static Grants all;
  return all;
}

cudaError_t check_launch(const void* kernel, dim3 blocks, dim3 threads, std::size_t shared_bytes) {
  constexpr unsigned most_high = 65535;
  if (!grants().allow(kernel, shared_bytes)) return cudaErrorInvalidValue;
  const std::size_t count = std::size_t{threads.x} * threads.y * threads.z;
  const bool fits = blocks.x > 0 && blocks.y > 0 && blocks.z > 0 && blocks.y <= most_high &&
                    blocks.z <= most_high && count > 0 && count <= 1024 && threads.z <= 64 &&
                    shared_bytes <= (std::size_t{227} << 10U);
  return fits ? cudaSuccess : cudaErrorInvalidConfiguration;
}

void enqueue_everywhere(const std::function<void()>& work) {
  streams().enqueue(work);
}

std::size_t graph_launches() {
  return launches();
}

}  // namespace cuda_host

using namespace cuda_host;

const char* cudaGetErrorName(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureUnjoined:
      return "cudaErrorStreamCaptureUnjoined";
  }
  return "unknown";
}

const char* cudaGetErrorString(cudaError_t status) {
  switch (status) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInsufficientDriver:
      return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureUnjoined:
      return "capturing stream has unjoined work";
  }
  return "unknown";
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute /*attribute*/, int value) {
  grants().set(function, static_cast<std::size_t>(value));
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal) {
  if (ordinal != 0) return cudaErrorInvalidDevice;
  *properties = {"the host, emulating", Memory::most, 9, 0, 3, std::size_t{227} << 10U};
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int ordinal) {
  return ordinal == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  return cudaErrorInvalidValue;  // descent waits for its stream
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int ordinal) {
  *value = attribute == cudaDevAttrClockRate ? 1'000'000 : 3;
  return ordinal == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaMalloc(void** address, std::size_t bytes) {
  return memory().allocate(address, bytes, Kind::device);
}

cudaError_t cudaFree(void* address) {
  streams().wait();
  return address == nullptr ? cudaSuccess : memory().release(address, Kind::device);
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = *total = Memory::most;
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** address, std::size_t bytes, unsigned /*flags*/) {
  return memory().allocate(address, bytes, Kind::pinned);
}

cudaError_t cudaFreeHost(void* address) {
  streams().wait();
  return address == nullptr ? cudaSuccess : memory().release(address, Kind::pinned);
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned /*flags*/) {
  *device = host;
  return memory().holds(host, 0, Kind::pinned) ? cudaSuccess : cudaErrorInvalidValue;
}

// Memory of the host that is not pinned is copied before the call returns, or the call waits, as on a GPU.
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (bytes == 0) return cudaSuccess;
  if (memory().holds(to, bytes, Kind::device) != to_device) return cudaErrorInvalidValue;
  if (memory().holds(from, bytes, Kind::device) != from_device) return cudaErrorInvalidValue;
  const auto pageable = [&](const void* address) {
    return !memory().holds(address, bytes, Kind::device) && !memory().holds(address, bytes, Kind::pinned);
  };
  if (pageable(from)) {
    if (is_capturing(stream)) return cudaErrorStreamCaptureUnsupported;
    const auto* const begin = static_cast<const unsigned char*>(from);
    return enqueue(stream, [to, staged = std::vector<unsigned char>(begin, begin + bytes)] {
      std::memcpy(to, staged.data(), staged.size());
    });
  }
  const cudaError_t status = enqueue(stream, [=] { std::memcpy(to, from, bytes); });
  if (status != cudaSuccess || !pageable(to)) return status;
  if (is_capturing(stream)) return cudaErrorStreamCaptureUnsupported;
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (!memory().holds(to, bytes, Kind::device)) return cudaErrorInvalidValue;
  return enqueue(stream, [=] { std::memset(to, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  *stream = new Stream;
  streams().add(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int /*priority*/) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* last, int* first) {
  *last = 0;
  *first = -5;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  streams().remove(stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (is_capturing(stream)) return cudaErrorStreamCaptureUnsupported;
  stream->wait();
  return cudaSuccess;
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return stream->is_idle() ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new Event;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  event->stream = stream;
  if (is_capturing(stream)) {
    event->recorded_in = stream->capturing;
    event->late = stream->late.size();
    return cudaSuccess;
  }
  event->recorded_in = nullptr;
  event->marker = std::make_shared<Marker>();
  return enqueue(stream, [event, marker = event->marker] {
    event->when = std::chrono::steady_clock::now();
    marker->reach();
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  if (event->recorded_in != nullptr) {
    if (!is_capturing(event->stream) || event->stream->capturing != event->recorded_in)
      return cudaErrorInvalidValue;  // of a recording that has ended
    if (!is_capturing(stream)) {
      stream->capturing = event->recorded_in;
      stream->is_joined = true;
      stream->capturing->joined.push_back(stream);
    }
    if (event->stream != stream) event->stream->play_late(event->late);
    return cudaSuccess;
  }
  if (is_capturing(stream)) return cudaErrorStreamCaptureUnsupported;
  if (event->marker == nullptr) return cudaSuccess;
  return enqueue(stream, [marker = event->marker] { marker->wait(); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->recorded_in != nullptr) return cudaErrorStreamCaptureUnsupported;
  if (event->marker != nullptr) event->marker->wait();
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  if (is_capturing(stream)) return cudaErrorStreamCaptureUnsupported;
  stream->capturing = new Graph;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!is_capturing(stream)) return cudaErrorInvalidValue;
  *graph = std::exchange(stream->capturing, nullptr);
  cudaError_t status = cudaSuccess;
  for (Stream* joined : (*graph)->joined) {
    if (joined->played < joined->late.size()) status = cudaErrorStreamCaptureUnjoined;
    joined->capturing = nullptr;
    joined->is_joined = false;
    joined->late.clear();
    joined->played = 0;
  }
  if (status != cudaSuccess) delete std::exchange(*graph, nullptr);
  return status;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long /*flags*/) {
  *executable = new Graph(*graph);
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  ++launches();
  return enqueue(stream, [nodes = executable->nodes] {
    for (const auto& node : *nodes) node();
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
