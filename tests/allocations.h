// How often this thread has asked operator new for memory; the test program's own operator new counts.
#pragma once

#include <cstddef>

namespace descent::test {

[[nodiscard]] std::size_t allocations();

}  // namespace descent::test
