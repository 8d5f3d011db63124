#include "cpu/onednn.h"

#include "cpu/lanes.h"
#include "descent/error.h"

#include <array>

namespace descent {

namespace {

using Tag = dnnl::memory::format_tag;

Tag tag_of(Layout layout) {
  if (layout == nhwc) return Tag::nhwc;
  if (layout == nchw8c) return Tag::nChw8c;
  if (layout == nchw16c) return Tag::nChw16c;
  if (layout == n16chw) return Tag::Abcd16a;
  if (layout == n32chw) return Tag::Abcd32a;
  return Tag::nchw;
}

}  // namespace

dnnl::memory::data_type data_type(DType type) {
  switch (type) {
    case DType::f32:
      return dnnl::memory::data_type::f32;
    case DType::bf16:
      return dnnl::memory::data_type::bf16;
    default:
      throw Error("the CPU does not compute in " + std::string(name(type)));
  }
}

dnnl::memory::desc memory_desc(const Shape& shape, DType type, Layout layout) {
  const auto dimensions = shape.dimensions();
  const dnnl::memory::dims dims(dimensions.begin(), dimensions.end());
  if (dims.size() == 1) return {dims, data_type(type), Tag::a};
  if (dims.size() == 2) return {dims, data_type(type), Tag::ab};
  return {dims, data_type(type), tag_of(layout)};
}

bool layout_fits(const Shape& batched, Layout layout) {
  if (layout == nchw) return true;
  if (batched.rank() != 4) return false;
  if (layout == nchw8c) return batched[1] % 8 == 0;
  if (layout == nchw16c) return batched[1] % 16 == 0;
  if (layout == n16chw) return batched[0] % lanes == 0;
  if (layout == n32chw) return batched[0] % bf16_lanes == 0;
  return true;
}

std::vector<Layout> fitting_layouts(const Shape& batched, DType type) {
  std::vector<Layout> fitting;
  const Layout in_lanes = lanes_layout(type);
  for (const Layout layout : std::array{nhwc, nchw16c, nchw8c, nchw, in_lanes}) {
    if (layout_fits(batched, layout)) fitting.push_back(layout);
  }
  return fitting;
}

bool same_order_in(const Shape& batched, Layout a, Layout b) {
  if (a == b || batched.rank() != 4) return true;
  const std::int64_t pixels = batched[2] * batched[3];
  // Blocks of all channels are channels-last; channels-last of one pixel or one channel is plain.
  const auto simplest = [&](Layout layout) {
    if (layout == nchw8c && (batched[1] == 8 || pixels == 1)) layout = nhwc;
    if (layout == nchw16c && (batched[1] == 16 || pixels == 1)) layout = nhwc;
    if (layout == nhwc && (batched[1] == 1 || pixels == 1)) layout = nchw;
    return layout;
  };
  return simplest(a) == simplest(b);
}

bool same_bytes_in(const TensorDesc& desc, Format other) {
  return desc.type == other.type && same_order_in(desc.shape, desc.layout, other.layout);
}

bool is_reference(std::string_view implementation) {
  return implementation.find("ref") != std::string_view::npos;
}

dnnl::primitive_attr user_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

dnnl::memory unbound(const dnnl::memory::desc& desc, const Onednn& onednn) {
  return {desc, onednn.engine, DNNL_MEMORY_NONE};
}

Reorder::Reorder(const Onednn& onednn, const dnnl::memory::desc& from, const dnnl::memory::desc& to)
    : from_(unbound(from, onednn)), to_(unbound(to, onednn)) {
  const dnnl::reorder::primitive_desc description(onednn.engine, from, onednn.engine, to, user_scratchpad());
  scratchpad_ = unbound(description.scratchpad_desc(), onednn);
  implementation_ = description.impl_info_str();
  call_ = {dnnl::reorder(description),
           {{DNNL_ARG_FROM, from_}, {DNNL_ARG_TO, to_}, {DNNL_ARG_SCRATCHPAD, scratchpad_}}};
}

void Reorder::bind(void* from, void* to, void* scratchpad) {
  from_.set_data_handle(from);
  to_.set_data_handle(to);
  scratchpad_.set_data_handle(scratchpad);
}

}  // namespace descent
