// The verbs of the program. Each adds its options to a subcommand whose callback does the work;
// what goes wrong is thrown as Error and becomes one sentence and an exit code in main.cpp.
#pragma once

#include <CLI/CLI.hpp>

namespace descent::cli {

void add_train(CLI::App& program);
void add_resume(CLI::App& program);
void add_eval(CLI::App& program);
void add_predict(CLI::App& program);
void add_inspect(CLI::App& program);
void add_list(CLI::App& program);
void add_doctor(CLI::App& program);
void add_bench(CLI::App& program);
void add_report(CLI::App& program);
void add_compare(CLI::App& program);
void add_lr_find(CLI::App& program);
void add_demo(CLI::App& program);

// Thrown where everything has been said already and only the exit code is left to give.
struct Exit {
  int code = 0;
};

}  // namespace descent::cli
