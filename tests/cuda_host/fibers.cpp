// Runs the threads of a block, one after the other, on one thread of the host. A thread that waits for others
// makes room for them; one that never waits costs no switch.
#include "cuda_runtime.h"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_host {
namespace {

constexpr std::size_t stack_bytes = std::size_t{256} << 10U;
constexpr unsigned warp_size = 32;
constexpr unsigned most_threads = 1024;

// A stack on which threads of a block run.
struct Fiber {
  std::array<void*, 5> registers{};  // of __builtin_setjmp
  std::unique_ptr<char[]> stack;
  ucontext_t start{};
  unsigned thread = 0;
  unsigned exchanges = 0;  // of this thread so far
  uint3 index{0, 0, 0};
};

// How many threads are concerned, and those that have come and wait for the others.
struct Barrier {
  unsigned live = 0;
  std::vector<Fiber*> waiting;

  void begin(unsigned threads) {
    live = threads;
    waiting.clear();
  }
};

struct Block {
  const std::function<void()>* body = nullptr;
  unsigned threads = 0;
  unsigned started = 0;
  bool backwards = false;
  Barrier all;
  std::array<Barrier, most_threads / warp_size> warps{};
  // Two letters a lane, used in turn: nobody writes one before everybody has read what it held.
  std::array<std::array<std::array<std::uint64_t, warp_size>, 2>, most_threads / warp_size> letters{};
};

struct Scheduler {
  Block block;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  std::deque<Fiber*> ready;  // they waited, and can go on
  Fiber* current = nullptr;
  Fiber* beginning = nullptr;  // whose stack is entered for the first time
  unsigned active = 0;         // in the middle of a thread: at work, ready or waiting
  std::array<void*, 5> host{};
  std::vector<unsigned char> dynamic_shared;
  std::size_t grids = 0;
  const void* host_stack = nullptr;
  std::size_t host_stack_bytes = 0;
};

Scheduler& scheduler() {
  thread_local Scheduler one;
  return one;
}

void announce_switch([[maybe_unused]] const Fiber* to) {
#ifdef __SANITIZE_ADDRESS__
  Scheduler& s = scheduler();
  const void* stack = to != nullptr ? static_cast<const void*>(to->stack.get()) : s.host_stack;
  __sanitizer_start_switch_fiber(nullptr, stack, to != nullptr ? stack_bytes : s.host_stack_bytes);
#endif
}

void arrived_from([[maybe_unused]] bool host) {
#ifdef __SANITIZE_ADDRESS__
  Scheduler& s = scheduler();
  const void* stack = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
  if (host) {
    s.host_stack = stack;
    s.host_stack_bytes = bytes;
  }
#endif
}

[[noreturn, gnu::noinline]] void jump(std::array<void*, 5>& registers) {
  __builtin_longjmp(registers.data(), 1);
}

void fiber_main();

[[noreturn, gnu::noinline]] void begin(Fiber& fiber) {
  scheduler().beginning = &fiber;
  setcontext(&fiber.start);
  std::abort();
}

[[gnu::noinline]] void switch_stack(std::array<void*, 5>& from, Fiber* to, std::array<void*, 5>& registers,
                                    bool fresh) {
  announce_switch(to);
  if (__builtin_setjmp(from.data()) == 0) {
    if (fresh) begin(*to);
    jump(registers);
  }
}

// Goes on when somebody comes back to `from`.
void switch_to(std::array<void*, 5>& from, Fiber& to, bool fresh) {
  switch_stack(from, &to, to.registers, fresh);
  arrived_from(false);
}

void resume(Fiber& fiber) {
  Scheduler& s = scheduler();
  s.current = &fiber;
  threadIdx = fiber.index;
}

struct Start {
  Fiber* fiber;
  bool fresh;
};

Start idle_fiber() {
  Scheduler& s = scheduler();
  if (!s.idle.empty()) {
    Fiber* fiber = s.idle.back();
    s.idle.pop_back();
    return {fiber, false};
  }
  auto fiber = std::make_unique<Fiber>();
  fiber->stack = std::make_unique_for_overwrite<char[]>(stack_bytes);
  getcontext(&fiber->start);
  fiber->start.uc_stack.ss_sp = fiber->stack.get();
  fiber->start.uc_stack.ss_size = stack_bytes;
  fiber->start.uc_link = nullptr;
  makecontext(&fiber->start, fiber_main, 0);
  s.fibers.push_back(std::move(fiber));
  return {s.fibers.back().get(), true};
}

void release_if_complete(Barrier& barrier) {
  if (barrier.waiting.empty() || barrier.waiting.size() != barrier.live) return;
  std::deque<Fiber*>& ready = scheduler().ready;
  ready.insert(ready.end(), barrier.waiting.begin(), barrier.waiting.end());
  barrier.waiting.clear();
}

Fiber& next_ready() {
  Scheduler& s = scheduler();
  if (s.ready.empty()) {
    std::fputs("a kernel's threads wait for each other for ever\n", stderr);
    std::abort();
  }
  Fiber& next = *s.ready.front();
  s.ready.pop_front();
  return next;
}

// Others' turn until the barrier lets go: threads that have not begun come first.
void wait_at(Barrier& barrier) {
  Scheduler& s = scheduler();
  Fiber& self = *s.current;
  barrier.waiting.push_back(&self);
  release_if_complete(barrier);
  if (s.block.started < s.block.threads) {
    const Start start = idle_fiber();
    ++s.active;
    switch_to(self.registers, *start.fiber, start.fresh);
  } else if (Fiber& next = next_ready(); &next != &self) {
    switch_to(self.registers, next, false);
  }
  resume(self);
}

void run_threads(Fiber& self) {
  Block& block = scheduler().block;
  while (block.started < block.threads) {
    const unsigned place = block.started++;
    self.thread = block.backwards ? block.threads - 1 - place : place;
    self.exchanges = 0;
    self.index = {self.thread % blockDim.x, self.thread / blockDim.x % blockDim.y,
                  self.thread / blockDim.x / blockDim.y};
    resume(self);
    (*block.body)();
    Barrier& warp = block.warps[self.thread / warp_size];
    --block.all.live;
    --warp.live;
    release_if_complete(block.all);
    release_if_complete(warp);
  }
}

// Loops for ever: a fiber that has nothing to do waits among the idle ones.
void fiber_main() {
  arrived_from(scheduler().current == nullptr);
  Scheduler& s = scheduler();
  Fiber* const self = s.beginning;
  for (;;) {
    run_threads(*self);
    s.idle.push_back(self);
    if (--s.active == 0) {
      s.current = nullptr;
      switch_stack(self->registers, nullptr, s.host, false);
      arrived_from(true);
    } else {
      switch_to(self->registers, next_ready(), false);
    }
  }
}

void run_block(const std::function<void()>& body, unsigned threads, bool backwards) {
  Scheduler& s = scheduler();
  Block& block = s.block;
  block.body = &body;
  block.threads = threads;
  block.started = 0;
  block.backwards = backwards;
  block.all.begin(threads);
  for (unsigned warp = 0; warp * warp_size < threads; ++warp) {
    block.warps[warp].begin(std::min(warp_size, threads - warp * warp_size));
  }
  const Start start = idle_fiber();
  s.current = nullptr;
  s.active = 1;
  switch_to(s.host, *start.fiber, start.fresh);
}

}  // namespace

// Blocks take turns in which order their threads begin, so that a missing barrier shows.
void run_grid(dim3 blocks, dim3 threads, std::size_t shared_bytes, const std::function<void()>& body) {
  Scheduler& s = scheduler();
  gridDim = {blocks.x, blocks.y, blocks.z};
  blockDim = {threads.x, threads.y, threads.z};
  ++s.grids;
  for (unsigned z = 0; z < blocks.z; ++z) {
    for (unsigned y = 0; y < blocks.y; ++y) {
      for (unsigned x = 0; x < blocks.x; ++x) {
        blockIdx = {x, y, z};
        s.dynamic_shared.assign(shared_bytes, 0xFF);
        run_block(body, threads.x * threads.y * threads.z, (s.grids + x + y + z) % 2 == 0);
      }
    }
  }
}

void* dynamic_shared() {
  return scheduler().dynamic_shared.data();
}

void sync_block() {
  wait_at(scheduler().block.all);
}

void sync_warp() {
  Scheduler& s = scheduler();
  wait_at(s.block.warps[s.current->thread / warp_size]);
}

std::uint64_t exchange(std::uint64_t value, unsigned from) {
  Scheduler& s = scheduler();
  const unsigned warp = s.current->thread / warp_size;
  auto& letters = s.block.letters[warp][s.current->exchanges++ % 2];
  letters[s.current->thread % warp_size] = value;
  sync_warp();
  return letters[from % warp_size];
}

unsigned lane() {
  return scheduler().current->thread % warp_size;
}

}  // namespace cuda_host
