// Bytes from the host into device memory, in the order of the stream. They travel as a parameter of the kernel
// that writes them: there is no buffer that the host might overwrite too early, and nothing to wait for.
#pragma once

#include "cuda/context.h"

#include <cstddef>
#include <span>

namespace descent {

inline constexpr std::size_t mailbox_bytes = 1024;  // of one letter

// `to`: device memory. More than a letter's bytes go in several.
void post(const CudaContext& context, void* to, std::span<const std::byte> bytes);

template <class T>
void post(const CudaContext& context, T* to, const T& value) {
  post(context, to, std::as_bytes(std::span(&value, 1)));
}

}  // namespace descent
