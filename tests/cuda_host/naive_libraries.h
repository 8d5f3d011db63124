// Whether emulated devices that are made meanwhile find libraries.
#pragma once

namespace descent::test {

class LibrariesAreThere {
 public:
  explicit LibrariesAreThere(bool there);
  LibrariesAreThere(const LibrariesAreThere&) = delete;
  LibrariesAreThere& operator=(const LibrariesAreThere&) = delete;
  ~LibrariesAreThere();
};

}  // namespace descent::test
