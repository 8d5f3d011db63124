// Memory in pages as large as the system has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace descent {

// Room for `count` bytes, asked of the system in large pages before it is written: whoever reads it here and
// there, as batches read pictures, does not wait for the addresses of small ones. Small blocks stay as they
// are.
void reserve_in_large_pages(std::vector<std::uint8_t>& bytes, std::size_t count);

}  // namespace descent
