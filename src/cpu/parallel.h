// The one way in which loops of the CPU device use several cores.
#pragma once

#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <type_traits>

namespace descent {

// Calls f(begin, end) for stretches that together cover [0, count), on a team of `threads`.
// Every stretch but the last is a multiple of `grain` long and begins at one, so that vectors meet the
// same elements whatever the number of threads. Stretches are handed out by number, not by chance. An
// exception of f ends its own stretch; the others go on, and the first one caught is thrown again here.
//
// f may take a third argument: the stretch's number, below `threads`, for memory of its own.
template <class Function>
void parallel_for(int threads, std::int64_t count, std::int64_t grain, Function&& f) {
  if (count <= 0) return;
  grain = std::max<std::int64_t>(grain, 1);
  const std::int64_t grains = (count - 1) / grain + 1;
  const std::int64_t stretches = std::min<std::int64_t>(std::max(threads, 1), grains);
  const auto call = [&](std::int64_t begin, std::int64_t end, std::int64_t stretch) {
    if constexpr (std::is_invocable_v<Function&, std::int64_t, std::int64_t, std::int64_t>) {
      f(begin, end, stretch);
    } else {
      f(begin, end);
    }
  };
  if (stretches == 1) {
    call(0, count, 0);
    return;
  }
  std::exception_ptr error;
  // All of the team, though some may find nothing to do: GCC's OpenMP ends the threads that a smaller team
  // leaves out, and to start them again takes longer than most kernels.
#pragma omp parallel num_threads(threads)
  {
    // The team may be smaller than asked for.
    for (std::int64_t i = omp_get_thread_num(); i < stretches; i += omp_get_num_threads()) {
      try {
        const std::int64_t begin = grains * i / stretches * grain;
        const std::int64_t end = std::min(grains * (i + 1) / stretches * grain, count);
        call(begin, end, i);
      } catch (...) {
#pragma omp critical(descent_parallel_for)
        if (!error) error = std::current_exception();
      }
    }
  }
  if (error) std::rethrow_exception(error);
}

enum class PartOrder { first_to_last, last_to_first };

// Calls f(part, slot) once for each part of [0, parts), for parts of much work. Each of at most `threads`
// begins with a share of its own, whose memory it knows, and then takes what is left of the others' shares: a
// core that others use too, as on rented machines, does fewer parts instead of keeping the team waiting.
// `slot`, below `threads`, is for memory of its own. Parts of a share are begun in order, or the last first.
// Errors as above.
template <class Function>
void parallel_parts(int threads, std::int64_t parts, PartOrder order, Function&& f) {
  constexpr std::int64_t most_shares = 256;
  const std::int64_t shares = std::min({std::int64_t{std::max(threads, 1)}, parts, most_shares});
  std::array<std::atomic<std::int64_t>, std::size_t{most_shares}> begun;
  for (std::int64_t share = 0; share < shares; ++share) begun[static_cast<std::size_t>(share)] = 0;
  const auto work_off = [&](std::int64_t share, std::int64_t slot) {
    const std::int64_t first = parts * share / shares;
    const std::int64_t last = parts * (share + 1) / shares;
    std::atomic<std::int64_t>& next = begun[static_cast<std::size_t>(share)];
    for (std::int64_t i = next++; i < last - first; i = next++) {
      f(order == PartOrder::first_to_last ? first + i : last - 1 - i, slot);
    }
  };
  parallel_for(threads, shares, 1, [&](std::int64_t begin, std::int64_t /*end*/, std::int64_t slot) {
    for (std::int64_t i = 0; i < shares; ++i) work_off((begin + i) % shares, slot);
  });
}

}  // namespace descent
