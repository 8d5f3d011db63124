// In place of the libraries' handles: what the naive graphs can do.
#pragma once

namespace descent {

class LibraryHandles {
 public:
  bool has_endings = true;  // bias, sum and activation within a graph
};

}  // namespace descent
