#include "base/files.h"

#include "descent/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <utility>

namespace descent {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail(const fs::path& file, const char* action, Fault fault = Fault::failure) {
  throw Error("cannot " + std::string(action) + " '" + file.string() + "': " + std::strerror(errno), fault);
}

// An open file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  [[nodiscard]] int get() const { return value_; }

 private:
  int value_;
};

void write_all(int descriptor, std::string_view content, const fs::path& file) {
  while (!content.empty()) {
    const ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(file, "write");
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::string lower_case_ending(const fs::path& file) {
  std::string ending = file.extension().string();
  std::ranges::transform(ending, ending.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return ending;
}

std::string read_file(const fs::path& file, std::size_t limit) {
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (descriptor.get() < 0) fail(file, "read", Fault::usage);
  struct stat status {};
  if (::fstat(descriptor.get(), &status) != 0) fail(file, "read", Fault::usage);
  if (!S_ISREG(status.st_mode)) throw Error("'" + file.string() + "' is not a file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > limit) {
    throw Error("'" + file.string() + "' has " + std::to_string(size) + " bytes; at most " +
                std::to_string(limit) + " are read");
  }
  std::string content(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(descriptor.get(), content.data() + done, size - done);
    if (got < 0) {
      if (errno == EINTR) continue;
      fail(file, "read", Fault::usage);
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  content.resize(done);
  return content;
}

namespace {

// A new file with a name like that of `file`; a descriptor, negative if there is none. The system gives it the
// rights that the user's mask leaves: asking for the mask would change it for all threads.
int create_beside(const fs::path& file, std::string& name) {
  for (int number = 0;; ++number) {
    name = file.string() + '.' + std::to_string(::getpid()) + '-' + std::to_string(number);
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor >= 0 || errno != EEXIST) return descriptor;
  }
}

}  // namespace

void write_file_atomically(const fs::path& file, std::string_view content) {
  const std::array parts{content};
  write_file_atomically(file, parts);
}

void write_file_atomically(const fs::path& file, std::span<const std::string_view> parts) {
  std::string beside;
  {
    const Descriptor descriptor(create_beside(file, beside));
    if (descriptor.get() < 0) fail(file, "write");
    try {
      for (const std::string_view part : parts) write_all(descriptor.get(), part, file);
      if (::fsync(descriptor.get()) != 0) fail(file, "flush");
    } catch (...) {
      ::unlink(beside.c_str());
      throw;
    }
  }
  if (::rename(beside.c_str(), file.c_str()) != 0) {
    const int reason = errno;
    ::unlink(beside.c_str());
    errno = reason;
    fail(file, "write");
  }
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());  // best effort: some file systems refuse
}

RecordWriter::RecordWriter(const fs::path& file, Start start)
    : file_(file),
      descriptor_(::open(file.c_str(),
                         O_WRONLY | O_CREAT | (start == Start::empty ? O_TRUNC : 0) | O_APPEND | O_CLOEXEC,
                         0666)) {
  if (descriptor_ < 0) fail(file_, "write");
}

RecordWriter::~RecordWriter() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void RecordWriter::write(std::string_view record) {
  write_all(descriptor_, record, file_);
}

namespace {

// Makes the file its header and the rows that stay.
const fs::path& begun(const fs::path& file, const std::string& header, std::int64_t below) {
  std::error_code error;
  if (below <= 0 || !fs::exists(file, error)) {
    RecordWriter(file).write(header);
    return file;
  }
  const std::string content = read_file(file, std::numeric_limits<std::size_t>::max());
  if (!content.starts_with(header)) {
    throw Error("'" + file.string() + "' cannot be continued: its first line is not '" +
                header.substr(0, header.size() - 1) + "'");
  }
  std::string kept = header;
  std::string_view rest = std::string_view(content).substr(header.size());
  for (std::size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    const std::string_view row = rest.substr(0, end + 1);
    std::int64_t number = below;
    std::from_chars(row.data(), row.data() + row.size(), number);
    if (number < below) kept += row;
    rest.remove_prefix(row.size());
  }
  write_file_atomically(file, kept);
  return file;
}

}  // namespace

LineWriter::LineWriter(const fs::path& file, std::string_view header, std::int64_t kept_below)
    : file_(begun(file, std::string(header) + '\n', kept_below), RecordWriter::Start::append) {}

void LineWriter::write(std::string line) {
  line += '\n';
  file_.write(line);
}

void require_writable_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error("cannot create the folder '" + folder.string() + "': " + error.message());
  std::string probe = (folder / ".writable.XXXXXX").string();
  const Descriptor descriptor(::mkostemp(probe.data(), O_CLOEXEC));
  if (descriptor.get() < 0) fail(folder, "write into the folder", Fault::usage);
  ::unlink(probe.c_str());
}

}  // namespace descent
