// Runs the built program as a user would.
#pragma once

#include "temporary_folder.h"

#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

struct ProgramResult {
  int code = -1;  // exit code; 128 + n if signal n ended it
  std::string out;
  std::string err;
};

inline std::string shell_quoted(const std::string& word) {
  std::string quoted = "'";
  for (const char character : word) {
    if (character == '\'') {
      quoted += "'\\''";
    } else {
      quoted += character;
    }
  }
  return quoted + '\'';
}

// Leaves out what is said of a start that takes long, as it may on a busy machine.
inline std::string without_waiting(std::string errors) {
  constexpr std::string_view waiting = "descent: kernels are timed";
  for (std::size_t begin = 0; (begin = errors.find(waiting)) != std::string::npos;)
    errors.erase(begin, errors.find('\n', begin) + 1 - begin);
  return errors;
}

// `environment`: assignments before the command, "LC_ALL=de_DE.UTF-8".
inline ProgramResult run_program(const std::vector<std::string>& arguments,
                                 const std::string& environment = "") {
  const TemporaryFolder folder;
  std::string command = environment + ' ' + shell_quoted(DESCENT_PROGRAM);
  for (const std::string& argument : arguments) command += ' ' + shell_quoted(argument);
  command += " </dev/null >" + shell_quoted((folder / "out").string());
  command += " 2>" + shell_quoted((folder / "err").string());
  const int status = std::system(command.c_str());
  ProgramResult result{-1, read_text(folder / "out"), without_waiting(read_text(folder / "err"))};
  if (WIFEXITED(status)) result.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.code = 128 + WTERMSIG(status);
  return result;
}
