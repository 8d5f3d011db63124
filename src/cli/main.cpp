// descent: trains and runs convolutional networks. Reads the command line, calls a verb, and turns
// every error into one sentence and an exit code.
#include "base/names.h"
#include "cli/verbs.h"
#include "descent/error.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

using descent::Error;

constexpr auto footer =
    "Exit codes: 0 done; 1 the run failed (a loss that is not finite, a full disk); 2 bad usage or input\n"
    "(options, files, pictures); 128 + n ended by signal n, what was trained so far is saved.";

// Points at the first thing on the command line that nobody knows.
[[noreturn]] void refuse_extras(const CLI::App& program) {
  const auto verbs = program.get_subcommands();
  if (verbs.empty()) {
    std::vector<std::string> owners;
    for (const CLI::App* verb : program.get_subcommands([](const CLI::App*) { return true; })) {
      owners.push_back(verb->get_name());
    }
    const std::vector<std::string_view> names(owners.begin(), owners.end());
    const std::vector<std::string> extras = program.remaining();
    if (!extras.empty() && !extras.front().starts_with('-')) {
      throw Error(descent::unknown_name("verb", extras.front(), names));
    }
    throw Error(extras.empty() ? "a verb is missing: see 'descent --help'"
                               : fmt::format("unknown option '{}': see 'descent --help'", extras.front()));
  }
  const CLI::App& verb = *verbs.front();
  const std::vector<std::string> extras = verb.remaining(true);
  const std::string given = extras.empty() ? std::string() : extras.front();
  if (!given.starts_with('-')) {
    throw Error(fmt::format("'descent {}' has no use for the argument '{}': see 'descent {} --help'",
                            verb.get_name(), given, verb.get_name()));
  }
  std::vector<std::string> owners;
  for (const CLI::Option* option : verb.get_options()) {
    for (const std::string& name : option->get_lnames()) owners.push_back("--" + name);
  }
  const std::vector<std::string_view> names(owners.begin(), owners.end());
  const std::string option = given.substr(0, given.find('='));
  const std::string_view nearest = descent::nearest_name(option, names);
  throw Error(fmt::format("unknown option '{}' of 'descent {}': {}", option, verb.get_name(),
                          nearest.empty() ? fmt::format("see 'descent {} --help'", verb.get_name())
                                          : fmt::format("did you mean '{}'?", nearest)));
}

// "--lr: 1 required TEXT missing" and the like, said in descent's way.
[[noreturn]] void refuse_parse(const CLI::App& program, const CLI::ParseError& error) {
  const std::string message = error.what();
  const std::string option = message.substr(0, message.find_first_of(": "));
  const bool named = option.starts_with('-');
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr && named) {
    throw Error(fmt::format("{} needs a value", option));
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    const auto verbs = program.get_subcommands();
    if (verbs.empty()) refuse_extras(program);
    throw Error(fmt::format("{} is missing: see 'descent {} --help'", option, verbs.front()->get_name()));
  }
  throw Error(message);
}

// What was typed, last word first, as the parser takes it; "help train" is "train --help".
std::vector<std::string> reversed_words(int count, char** arguments) {
  std::vector<std::string> words(arguments + 1, arguments + count);
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  std::ranges::reverse(words);
  return words;
}

void run(int count, char** arguments) {
  CLI::App program("Trains convolutional networks on pictures, evaluates them, and names what is in a picture.",
                   "descent");
  program.get_formatter()->column_width(34);
  program.get_formatter()->label("Subcommands", "Verbs");
  program.get_formatter()->label("SUBCOMMAND", "VERB");
  program.set_version_flag("--version", "descent " DESCENT_VERSION);
  program.footer(footer);
  program.require_subcommand(1);
  descent::cli::add_train(program);
  descent::cli::add_resume(program);
  descent::cli::add_lr_find(program);
  descent::cli::add_eval(program);
  descent::cli::add_predict(program);
  descent::cli::add_inspect(program);
  descent::cli::add_demo(program);
  descent::cli::add_list(program);
  descent::cli::add_doctor(program);
  descent::cli::add_bench(program);
  descent::cli::add_report(program);
  descent::cli::add_compare(program);

  try {
    program.parse(reversed_words(count, arguments));
  } catch (const CLI::Success& help) {  // --help, --version
    program.exit(help);
  } catch (const CLI::ExtrasError&) {
    refuse_extras(program);
  } catch (const CLI::ParseError& error) {
    refuse_parse(program, error);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw Error("cannot write to standard output", descent::Fault::failure);
}

// Fixes what glibc else learns from the first large block that is freed: to keep all that come after it. What a
// file took while it was read would stay with the process.
void give_back_large_blocks() {
  constexpr int bytes = 1 << 20;
  mallopt(M_MMAP_THRESHOLD, bytes);
  mallopt(M_TRIM_THRESHOLD, bytes);
}

// Cannot fail itself: it is the last word.
int complain(const char* sentence, int code) noexcept {
  std::fprintf(stderr, "descent: %s\n", sentence);
  return code;
}

}  // namespace

int main(int count, char** arguments) {
  give_back_large_blocks();
  try {
    run(count, arguments);
    return 0;
  } catch (const descent::cli::Exit& exit) {
    return exit.code;
  } catch (const Error& error) {
    return complain(error.what(), error.exit_code());
  } catch (const std::bad_alloc&) {
    return complain("out of memory: a smaller --batch-size may help", 1);
  } catch (const std::exception& error) {
    return complain(error.what(), 1);
  }
}
