// A small terminal: what a person would see of a program's output, and the program on a pseudo terminal.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace descent::test {

// Knows what descent sends: text in UTF-8, carriage return, newline, "erase to the end of the line", colours.
class Screen {
 public:
  explicit Screen(std::size_t columns) : columns_(columns) {}

  void resize(std::size_t columns) { columns_ = columns; }

  void show(const std::string& bytes) {
    for (const char byte : bytes) take(byte);
  }

  // Lines without blanks at their ends.
  [[nodiscard]] std::vector<std::string> lines() const {
    std::vector<std::string> result;
    for (const auto& row : rows_) {
      std::string line;
      for (const std::string& cell : row) line += cell;
      line.erase(line.find_last_not_of(' ') + 1);
      result.push_back(std::move(line));
    }
    return result;
  }
  [[nodiscard]] std::size_t column() const { return column_; }
  [[nodiscard]] bool wrapped() const { return wrapped_; }             // a line was longer than the screen
  [[nodiscard]] std::size_t sequences() const { return sequences_; }  // escape sequences so far
  [[nodiscard]] const std::string& unknown() const { return unknown_; }

 private:
  void take(char byte) {
    const bool continues = (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
    if (byte == '\033') {  // also within a sequence that a Ctrl-C has cut
      escape_ = byte;
    } else if (byte == '\r') {
      column_ = 0;
    } else if (byte == '\n') {
      ++row_;
    } else if (!escape_.empty()) {
      escape_ += byte;
      if (escape_.size() > 2 && byte >= '@' && byte <= '~') obey();
    } else if (continues) {
      if (column_ > 0) rows_.at(row_).at(column_ - 1) += byte;
    } else {
      put(byte);
    }
    if (rows_.size() <= row_) rows_.resize(row_ + 1);
  }

  void put(char byte) {
    if (column_ >= columns_) {
      wrapped_ = true;
      column_ = 0;
      ++row_;
      if (rows_.size() <= row_) rows_.resize(row_ + 1);
    }
    auto& row = rows_.at(row_);
    if (row.size() <= column_) row.resize(column_ + 1, " ");
    row[column_++] = std::string(1, byte);
  }

  void obey() {
    ++sequences_;
    if (escape_ == "\033[K") {
      auto& row = rows_.at(row_);
      row.resize(std::min(row.size(), column_));
    } else if (escape_.back() != 'm') {
      unknown_ += escape_.substr(1) + ' ';
    }
    escape_.clear();
  }

  std::size_t columns_;
  std::vector<std::vector<std::string>> rows_{1};
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  std::string escape_;
  bool wrapped_ = false;
  std::size_t sequences_ = 0;
  std::string unknown_;
};

// A precondition of tests: some containers have none.
inline boost::test_tools::assertion_result pseudo_terminals_exist(boost::unit_test::test_unit_id /*test*/) {
  int terminal = -1;
  int other = -1;
  if (::openpty(&terminal, &other, nullptr, nullptr, nullptr) != 0) return false;
  ::close(terminal);
  ::close(other);
  return true;
}

// A shell command on a pseudo terminal.
class TerminalRun {
 public:
  TerminalRun(const std::string& command, unsigned short columns) : screen(columns) {
    const winsize size{24, columns, 0, 0};
    process_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (process_ < 0) throw std::runtime_error("no pseudo terminal");
    if (process_ == 0) {
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
  }
  TerminalRun(const TerminalRun&) = delete;
  TerminalRun& operator=(const TerminalRun&) = delete;
  ~TerminalRun() { ::close(terminal_); }

  // Shows output until the program ends or `enough` says so.
  void follow(const std::function<bool()>& enough = [] { return false; }) {
    while (!enough()) {
      std::string bytes(4096, '\0');
      const ssize_t got = ::read(terminal_, bytes.data(), bytes.size());
      if (got <= 0) return;  // EIO: nobody has the terminal open any more
      bytes.resize(static_cast<std::size_t>(got));
      output += bytes;
      screen.show(bytes);
    }
  }

  void type(const std::string& keys) const {
    if (::write(terminal_, keys.data(), keys.size()) < 0) throw std::runtime_error("cannot type");
  }
  void resize(unsigned short columns) {
    const winsize size{24, columns, 0, 0};
    ::ioctl(terminal_, TIOCSWINSZ, &size);
    screen.resize(columns);
  }
  int exit_code() const {
    int status = 0;
    ::waitpid(process_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  Screen screen;
  std::string output;

 private:
  int terminal_ = -1;
  pid_t process_ = -1;
};

}  // namespace descent::test
