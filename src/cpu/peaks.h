// What the processor and its memory give at most, measured by small kernels of our own: the two roofs under
// which every operation works.
#pragma once

#include "cpu/context.h"

#include <cstddef>
#include <vector>

namespace descent {

struct MachinePeaks {
  // A copy of `bytes` in all: half of them read, half written.
  struct Copy {
    std::size_t bytes = 0;
    double bytes_per_second = 0;
  };

  double f32_flops = 0;      // per second: multiply-adds on registers, two operations each
  double bf16_flops = 0;     // dot products of bf16 pairs into f32; 0: the processor has none
  std::vector<Copy> copies;  // 4 MiB first, larger ones after it

  // Bytes per second for an operation that moves `bytes`: those of the smallest copy that is as large.
  [[nodiscard]] double bandwidth(double bytes) const;
};

// With all threads of the context at work; takes about half a second and 256 MiB.
[[nodiscard]] MachinePeaks measure_peaks(const CpuContext& context);

}  // namespace descent
