#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>

namespace descent::cli {

namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool speaks_utf8() {
  std::string locale;
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    if (locale.empty()) locale = variable(name);
  }
  std::ranges::transform(locale, locale.begin(), [](unsigned char c) { return std::tolower(c); });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

}  // namespace

Terminal::Terminal(int descriptor)
    : descriptor_(descriptor),
      live_(::isatty(descriptor) == 1 && variable("TERM") != "dumb"),
      utf8_(speaks_utf8()),
      colour_(live_ && variable("NO_COLOR").empty()) {}

std::size_t Terminal::columns() const {
  constexpr std::size_t usual = 80;
  winsize size{};
  if (::ioctl(descriptor_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual;
  return size.ws_col;
}

bool Terminal::in_foreground() const {
  const pid_t group = ::tcgetpgrp(descriptor_);
  return group < 0 || group == ::getpgrp();
}

}  // namespace descent::cli
