#include "cpu/denormals.h"

#include <xmmintrin.h>

namespace descent {

namespace {
constexpr unsigned flush_to_zero = 0x8000U;       // results
constexpr unsigned denormals_are_zero = 0x0040U;  // operands
constexpr unsigned both = flush_to_zero | denormals_are_zero;
}  // namespace

void flush_denormals() noexcept {
  _mm_setcsr(_mm_getcsr() | both);
}

bool denormals_are_flushed() noexcept {
  return (_mm_getcsr() & both) == both;
}

}  // namespace descent
