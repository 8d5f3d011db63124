// What a CUDA device shares with its plans.
#pragma once

#include "cuda/context.h"
#include "cuda/libraries.h"
#include "cuda/memory.h"
#include "cuda/side_stream.h"
#include "cuda/staging.h"
#include "cuda/stream.h"
#include "cuda/tuner.h"
#include "cuda/update.h"

#include <memory>
#include <mutex>

namespace descent {

// Threads take turns: what one asks for must not come between the parts of what another does.
struct CudaState {
  CudaStream stream;  // first, so that all that uses it goes before it
  std::unique_ptr<SideStream> side;
  CudaContext context;
  DeviceBytes moment;  // a StepMoment
  std::unique_ptr<CudaLibraries> libraries;
  std::unique_ptr<CudaTuner> tuner;
  std::unique_ptr<Staging> staging;
  std::unique_ptr<CudaUpdate> update;
  bool own_kernels = true;  // --kernels
  bool library_kernels = true;
  std::recursive_mutex mutex;
};

// The thread that calls works on this device from now on.
class CudaTurn {
 public:
  explicit CudaTurn(CudaState& state) : lock_(state.mutex) {
    check(cudaSetDevice(state.context.ordinal), "cudaSetDevice");
  }

 private:
  std::lock_guard<std::recursive_mutex> lock_;
};

}  // namespace descent
