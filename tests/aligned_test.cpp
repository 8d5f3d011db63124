// Blocks of host memory, from the heap or in pages of their own.
#include "cpu/aligned.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <utility>

using namespace descent;

BOOST_AUTO_TEST_SUITE(aligned)

BOOST_AUTO_TEST_CASE(blocks_of_every_size_are_aligned_zeroed_and_writable_to_their_last_byte) {
  for (const std::size_t bytes : {1UL, 63UL, 64UL, 4096UL, (1UL << 20U) - 1, 1UL << 20U, (5UL << 20U) + 3}) {
    for (int again = 0; again < 2; ++again) {  // memory that was used before is zeroed too
      const AlignedBytes block(bytes);
      BOOST_TEST(reinterpret_cast<std::uintptr_t>(block.data()) % 64 == 0U, bytes);
      const std::span<const std::byte> content(static_cast<const std::byte*>(block.data()), bytes);
      BOOST_TEST(std::ranges::all_of(content, [](std::byte value) { return value == std::byte{}; }), bytes);
      std::memset(block.data(), 0xFF, bytes);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_block_may_be_empty_or_moved) {
  BOOST_TEST(AlignedBytes().data() == nullptr);
  BOOST_TEST(AlignedBytes(0).data() == nullptr);
  AlignedBytes block(std::size_t{2} << 20U);
  void* const data = block.data();
  AlignedBytes other(16);
  other = std::move(block);
  BOOST_TEST(other.data() == data);
}

BOOST_AUTO_TEST_CASE(more_memory_than_there_is_cannot_be_had) {
  BOOST_CHECK_THROW(static_cast<void>(allocate_zeroed(std::numeric_limits<std::size_t>::max())),
                    std::bad_alloc);
  BOOST_CHECK_THROW(static_cast<void>(allocate_zeroed(std::size_t{1} << 62U)), std::bad_alloc);
}

BOOST_AUTO_TEST_SUITE_END()
