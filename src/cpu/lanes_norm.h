// Batch normalisation and activation of one slice with pictures innermost: one channel of a vector of pictures.
// A kernel of one layer and a kernel of several give the same bits because both call these.
#pragma once

#include "plan/element.h"
#include "plan/norm_rule.h"
#include "plan/relu_rule.h"

#include <cstdint>

namespace descent {

// `count` elements, f32 or bf16, a multiple of what a vector holds. `rule` may be null everywhere: no
// activation.

// Σa and Σa·b.
template <class Element>
[[nodiscard]] ChannelSums lanes_sums(const Element* a, const Element* b, std::int64_t count);
// y = activation of the normalised x.
template <class Element>
void normalise_lanes(const Element* x, Element* y, std::int64_t count, const ChannelForward& by,
                     const ReluRule* rule);
// Σg and Σg·x, where g is the gradient of the normalised x and dy that of its activation.
template <class Element>
[[nodiscard]] ChannelSums lanes_gradient_sums(const Element* x, const Element* dy, std::int64_t count,
                                              const ChannelForward& by, const ReluRule* rule);
// dx from x and dy, through activation and normalisation.
template <class Element>
void lanes_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                    const ChannelForward& by, const ChannelBackward& back, const ReluRule* rule);

// Activation alone.
template <class Element>
void activate_lanes(const Element* x, Element* y, std::int64_t count, const ReluRule& rule);
template <class Element>
void lanes_activation_gradient(const Element* x, const Element* dy, Element* dx, std::int64_t count,
                               const ReluRule& rule);

// The same from the activation's output. It must have neither a limit nor a negative leak; inputs that its
// shift swallows count as 0.
void lanes_gradient_by_output(const float* y, const float* dy, float* dx, std::int64_t count,
                              const ReluRule& rule);

}  // namespace descent
