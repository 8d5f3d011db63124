// Emulated devices that are made meanwhile find libraries: naive loops, for convolutions.
#pragma once

namespace descent::test {

class LibrariesAreThere {
 public:
  LibrariesAreThere();
  LibrariesAreThere(const LibrariesAreThere&) = delete;
  LibrariesAreThere& operator=(const LibrariesAreThere&) = delete;
  ~LibrariesAreThere();

 private:
  bool before_;
};

}  // namespace descent::test
