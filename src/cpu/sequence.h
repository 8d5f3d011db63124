// A unit computed as several kernels, one after the other: what stands in for a kernel of the whole unit in
// formats that have none.
#pragma once

#include "plan/kernel.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace descent {

// Layers [begin, end) of a unit as a unit of their own.
struct UnitPart {
  UnitPart(const KernelRequest& whole, std::size_t begin, std::size_t end);

  std::shared_ptr<const Unit> unit;
  KernelRequest request;  // refers to *unit
};

// One part with its kernel. The parts of a sequence follow each other; all but the first read the one before
// and nothing else, in the format in which it writes.
struct SequencePart {
  UnitPart part;
  std::unique_ptr<Kernel> kernel;
};

[[nodiscard]] std::unique_ptr<Kernel> make_sequence(std::vector<SequencePart> parts);

}  // namespace descent
