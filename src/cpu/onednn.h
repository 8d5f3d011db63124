// What the CPU device's oneDNN kernels share: descriptions of memory, reorders, and the check that no
// reference implementation runs unnoticed.
#pragma once

#include "cpu/layouts.h"
#include "descent/tensor.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace descent {

// One plan's way into the library. Streams are not shared between plans: each may run in its own thread.
struct Onednn {
  dnnl::engine engine;
  dnnl::stream stream;
};

[[nodiscard]] dnnl::memory::data_type data_type(DType type);
// N×C×H×W in one of our layouts, or N×C.
[[nodiscard]] dnnl::memory::desc memory_desc(const Shape& shape, DType type, Layout layout);
[[nodiscard]] inline dnnl::memory::desc memory_desc(const TensorDesc& desc) {
  return memory_desc(desc.shape, desc.type, desc.layout);
}

// True if the layout can hold the shape without padding.
[[nodiscard]] bool layout_fits(const Shape& batched, Layout layout);
// Layouts that fit, in the order in which rules prefer them.
[[nodiscard]] std::vector<Layout> fitting_layouts(const Shape& batched, DType type = DType::f32);
// True if the tensor's bytes are the same in both formats.
[[nodiscard]] bool same_bytes_in(const TensorDesc& desc, Format other);
// True if both layouts put the elements of this shape in the same order.
[[nodiscard]] bool same_order_in(const Shape& batched, Layout a, Layout b);

// "ref:any", "gemm:ref", …: the library's slow, general code.
[[nodiscard]] bool is_reference(std::string_view implementation);

// Every primitive takes its scratchpad from us, so that plans in several threads do not meet.
[[nodiscard]] dnnl::primitive_attr user_scratchpad();

// A primitive with its arguments; memory handles are set once, by bind().
struct Call {
  dnnl::primitive primitive;
  std::unordered_map<int, dnnl::memory> arguments;

  void run(const Onednn& onednn) const { primitive.execute(onednn.stream, arguments); }
};

// A memory object without an address as yet.
[[nodiscard]] dnnl::memory unbound(const dnnl::memory::desc& desc, const Onednn& onednn);

// A copy from one layout to another.
class Reorder {
 public:
  Reorder(const Onednn& onednn, const dnnl::memory::desc& from, const dnnl::memory::desc& to);

  void bind(void* from, void* to, void* scratchpad);
  void run(const Onednn& onednn) const { call_.run(onednn); }

  [[nodiscard]] std::size_t scratchpad_bytes() const { return scratchpad_.get_desc().get_size(); }
  [[nodiscard]] const std::string& implementation() const { return implementation_; }

 private:
  dnnl::memory from_;
  dnnl::memory to_;
  dnnl::memory scratchpad_;
  Call call_;
  std::string implementation_;
};

}  // namespace descent
