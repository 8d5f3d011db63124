#include "cuda/side_stream.h"

#include "cuda/check.h"

namespace descent {

namespace {

cudaEvent_t make_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  return event;
}

}  // namespace

StreamPriorities stream_priorities() {
  StreamPriorities found;
  check(cudaDeviceGetStreamPriorityRange(&found.last, &found.first), "cudaDeviceGetStreamPriorityRange");
  return found;
}

SideStream::SideStream(cudaStream_t main) : main_(main) {
  check(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking, stream_priorities().last),
        "cudaStreamCreateWithPriority");
  begin_ = make_event();
  for (Mark& mark : ends_) mark.event = make_event();
}

SideStream::~SideStream() {
  for (const Mark& mark : ends_) {
    if (mark.event != nullptr) cudaEventDestroy(mark.event);
  }
  if (begin_ != nullptr) cudaEventDestroy(begin_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

void SideStream::begin() {
  check(cudaEventRecord(begin_, main_), "cudaEventRecord");
  check(cudaStreamWaitEvent(stream_, begin_, 0), "cudaStreamWaitEvent");
}

void SideStream::end() {
  check(cudaEventRecord(ends_[now_].event, stream_), "cudaEventRecord");
  ends_[now_].set = true;
}

void SideStream::wait_for(Mark& mark) {
  if (!mark.set) return;
  check(cudaStreamWaitEvent(main_, mark.event, 0), "cudaStreamWaitEvent");
  mark.set = false;
}

void SideStream::advance() {
  now_ = 1 - now_;
  wait_for(ends_[now_]);
}

void SideStream::catch_up() {
  for (Mark& mark : ends_) wait_for(mark);
}

void SideStream::forget() {
  for (Mark& mark : ends_) mark.set = false;
}

}  // namespace descent
