#include "plan/cuda_library.h"

#include "descent/error.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>
#include <vector>

namespace descent {

namespace {

constexpr const char* file_name = "libdescent_cuda.so";

// Of the program or the library that this code is part of.
std::filesystem::path own_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<const void*>(&open_cuda_device), &info) == 0 || info.dli_fname == nullptr)
    return {};
  std::error_code failure;
  const auto self = std::filesystem::canonical(info.dli_fname, failure);
  return failure ? std::filesystem::path{} : self.parent_path();
}

// Beside this code, or in lib/ beside bin/.
std::filesystem::path find_library() {
  const std::filesystem::path folder = own_folder();
  for (const std::filesystem::path& file : {folder / file_name, folder.parent_path() / "lib" / file_name}) {
    std::error_code failure;
    if (std::filesystem::exists(file, failure)) return file;
  }
  return {};
}

// The library is never closed: its code may still be needed when the program ends.
void* load(const std::filesystem::path& file) {
  void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr) return library;
  const char* const reason = ::dlerror();
  throw Error("'" + file.string() +
              "' cannot be loaded: " + (reason == nullptr ? "no reason is given" : reason));
}

}  // namespace

std::unique_ptr<Device> open_cuda_device(int ordinal, const DeviceOptions& options) {
  const std::filesystem::path file = find_library();
  if (file.empty()) {
    throw Error(std::string("there is no ") + file_name +
                " beside the program: this descent was built without CUDA");
  }
  void* const symbol = ::dlsym(load(file), cuda_device_maker);
  if (symbol == nullptr) throw Error("'" + file.string() + "' is not descent's");
  return std::unique_ptr<Device>(reinterpret_cast<CudaDeviceMaker*>(symbol)(DESCENT_VERSION, ordinal, options));
}

}  // namespace descent
