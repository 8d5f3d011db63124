#include "cuda/side_stream.h"

#include "cuda/check.h"

namespace descent {

SideStream::SideStream(cudaStream_t main) : main_(main) {
  stream_.create(stream_priorities().last);
}

void SideStream::begin() {
  check(cudaEventRecord(begin_.get(), main_), "cudaEventRecord");
  check(cudaStreamWaitEvent(stream(), begin_.get(), 0), "cudaStreamWaitEvent");
}

void SideStream::end() {
  check(cudaEventRecord(ends_[now_].event.get(), stream()), "cudaEventRecord");
  ends_[now_].set = true;
}

void SideStream::wait_for(Mark& mark) {
  if (!mark.set) return;
  check(cudaStreamWaitEvent(main_, mark.event.get(), 0), "cudaStreamWaitEvent");
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
