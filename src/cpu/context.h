// What the kernels of one CPU device share.
#pragma once

namespace descent {

struct CpuContext {
  int threads = 1;  // of the OpenMP team
};

}  // namespace descent
