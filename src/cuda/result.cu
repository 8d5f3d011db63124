// One block adds up the rows in a fixed order and writes to memory of the host; a number that counts up says
// that it has. Bound: the way to the host, about a microsecond.
#include "cuda/launch.h"
#include "cuda/pack.h"
#include "cuda/result.h"
#include "cuda/sums.h"
#include "descent/error.h"

namespace descent {
namespace {

struct Sums {
  double loss_sum;  // first: others read it alone
  std::uint64_t number;
};

struct Letter {
  double loss_sum;
  std::int64_t correct;
  std::uint64_t number;
};

__global__ void begin(Sums* sums) {
  *sums = {0, 0};
}

__global__ void add_up(const float* rows, std::int64_t count, Sums* sums, volatile Letter* letter) {
  __shared__ double losses[32];
  __shared__ std::int64_t rights[32];
  double loss = 0;
  std::int64_t right = 0;
#pragma unroll 4
  for (std::int64_t row = threadIdx.x; row < count; row += blockDim.x) {
    const auto pair = load_pack<2>(rows + 2 * row);
    loss += static_cast<double>(pair.values[0]);
    right += pair.values[1] != 0.0F ? 1 : 0;
  }
  loss = block_sum(loss, losses);
  right = block_sum(right, rights);
  if (threadIdx.x != 0) return;
  sums->loss_sum = loss;
  ++sums->number;
  letter->loss_sum = loss;
  letter->correct = right;
  __threadfence_system();
  letter->number = sums->number;
}

}  // namespace

CudaResult::CudaResult(const CudaContext& context)
    : context_(context),
      sums_(sizeof(Sums)),
      letter_(sizeof(Letter)),
      letter_there_(letter_.on_device<Letter>()) {
  letter_.as<Letter>()->number = 0;
  launch(context_, "first result", {1, 1}, begin, sums_.as<Sums>());
}

void CudaResult::gather(const CudaContext& context, const float* loss_rows, std::int64_t rows) const {
  launch(context, "adding up losses", {1, 256}, add_up, loss_rows, rows, sums_.as<Sums>(),
         static_cast<volatile Letter*>(letter_there_));
}

StepResult CudaResult::result(std::recursive_mutex& recording) const {
  const volatile Letter* const letter = letter_.as<Letter>();
  constexpr int looks = 1000;
  for (int look = 1; letter->number != expected_; ++look) {
    if (look % looks != 0) continue;
    const cudaError_t status = [&, this] {
      const std::lock_guard lock(recording);
      return cudaStreamQuery(context_.stream);
    }();
    if (status == cudaErrorNotReady) continue;
    check(status, "a step");
    if (letter->number == expected_) break;
    throw Error("a CUDA device has ended a step without its loss", Fault::failure);
  }
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  return {letter->loss_sum, letter->correct};
}

}  // namespace descent
