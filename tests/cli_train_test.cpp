// descent train, as scripts see it: run folders, exit codes, and one sentence for every bad input.
#include "compare.h"
#include "workplace.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

namespace fs = std::filesystem;

using descent::test::check_refused;
using descent::test::Ending;
using descent::test::holds;
using descent::test::Workplace;

namespace {

const std::string standard_run = "runs/halves-tiny-adam";

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_train)

BOOST_AUTO_TEST_CASE(a_run_leaves_its_files_in_a_folder_named_after_it) {
  const Workplace place;
  const Ending outcome = place.train("");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  BOOST_TEST(holds(outcome.output, standard_run), outcome.output);
  for (const auto* file :
       {"config.toml", "metrics.csv", "steps.csv", "model.safetensors", "best.safetensors"}) {
    BOOST_TEST(fs::is_regular_file(place / standard_run / file), file);
  }
  const std::vector<std::string> metrics = place.lines(standard_run + "/metrics.csv");
  BOOST_REQUIRE(metrics.size() == 3U);
  BOOST_TEST(metrics[0] ==
             "epoch,step,lr,train_loss,train_accuracy,valid_loss,valid_accuracy,train_seconds,valid_seconds");
  BOOST_TEST(metrics[1].starts_with("0,2,0.006,"), metrics[1]);
  BOOST_TEST(metrics[2].starts_with("1,5,0.006,"), metrics[2]);
  const std::vector<std::string> steps = place.lines(standard_run + "/steps.csv");
  BOOST_REQUIRE(steps.size() == 7U);
  BOOST_TEST(steps[0] == "step,lr,train_loss,momentum,train_accuracy");
  BOOST_TEST(steps[1].starts_with("0,0.006,"));
  BOOST_TEST(steps[6].starts_with("5,0.006,"));
}

BOOST_AUTO_TEST_CASE(one_sentence_says_that_the_processor_has_no_bf16) {
  const Workplace place;
  BOOST_REQUIRE(place.train("--epochs 1 --quiet --out run").code == 0);
  const std::vector<std::string> verbs{
      "train --data halves --model tiny.toml --batch-size 8 --epochs 1 --quiet --force --out lean",
      "eval run --data halves", "predict run '" DESCENT_TEST_DATA "/pictures/grey_20x30.png'",
      "bench --model tiny.toml --batch 8 --runs 1 --no-peaks --json -"};
  for (const std::string& verb : verbs) {
    const Ending lean = place.run(verb + " --precision bf16 --threads 1", "ONEDNN_MAX_CPU_ISA=AVX2");
    BOOST_TEST(lean.code == 0, lean.errors);
    BOOST_TEST(lean.errors.starts_with("descent: warning: avx2 has no instructions for bf16: "), lean.errors);
    BOOST_TEST(std::ranges::count(lean.errors, '\n') == 1, lean.errors);
    const Ending usual = place.run(verb + " --threads 1", "ONEDNN_MAX_CPU_ISA=AVX2");
    BOOST_TEST(usual.code == 0, usual.errors);
    BOOST_TEST(usual.errors.empty(), usual.errors);
  }
}

BOOST_AUTO_TEST_CASE(explain_says_which_operations_run_in_bf16) {
  const Workplace place;
  const Ending lean = place.train("--precision bf16 --explain");
  BOOST_TEST(lean.code == 0, lean.errors);
  const std::size_t summary = lean.output.find("\nin bf16: ");
  BOOST_REQUIRE(summary != std::string::npos);
  const auto count = std::stol(lean.output.substr(summary + std::string("\nin bf16: ").size()));
  std::istringstream table(lean.output.substr(0, summary));
  long named = 0;
  for (std::string row; std::getline(table, row);) named += holds(row, "bf16 n") ? 1 : 0;
  BOOST_TEST(named == count, lean.output);
  BOOST_TEST(!holds(place.train("--explain").output, "bf16:"));
}

BOOST_AUTO_TEST_CASE(a_run_in_bf16_says_so_and_its_weights_are_taken_in_either_precision) {
  const Workplace place;
  const Ending outcome = place.train("--precision bf16 --watch-every 1 --out lean");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  BOOST_TEST(holds(read_text(place / "lean/config.toml"), "precision = \"bf16\""));
  BOOST_TEST(place.lines("lean/layers.csv").size() > 1U);
  BOOST_TEST(place.run("train --config lean/config.toml --out again --threads 1").code == 0);
  BOOST_TEST(holds(read_text(place / "again/config.toml"), "precision = \"bf16\""));
  for (const auto* precision : {"f32", "bf16"}) {
    const Ending answer = place.run(std::string("eval lean --threads 1 --precision ") + precision);
    BOOST_TEST(answer.code == 0, answer.errors);
  }
}

BOOST_AUTO_TEST_CASE(a_run_shows_its_layers_parameters_and_operations_unless_told_not_to_look) {
  const Workplace place;
  BOOST_TEST(place.train("--watch-every 2 --out seen").code == 0);
  const std::vector<std::string> layers = place.lines("seen/layers.csv");
  // Steps 0, 2 and 4: the activation, and the gradients of the blocks "0", "1" and "4".
  BOOST_REQUIRE(layers.size() == 13U);
  BOOST_TEST(layers[1].starts_with("0,0,,,"), layers[1]);
  BOOST_TEST(layers[3].starts_with("0,2,"), layers[3]);
  BOOST_TEST(layers[4].starts_with("0,4,,,"), layers[4]);
  BOOST_TEST(layers[11].starts_with("4,2,"), layers[11]);
  BOOST_TEST(place.lines("seen/histograms.csv").size() == 4U);
  BOOST_TEST(place.lines("seen/parameters.csv").size() == 19U);
  BOOST_TEST(place.lines("seen/gradients.csv").size() == 4U);
  const std::string operations = read_text(place / "seen/operations.csv");
  for (const auto* part : {"\n,load pictures,", "\n0,conv forward,", "\n0,conv backward", "\n,update,adam,"}) {
    BOOST_TEST(holds(operations, part), part);
  }
  BOOST_TEST(place.train("--watch none --out unseen").code == 0);
  BOOST_TEST(!fs::exists(place / "unseen/layers.csv"));
  BOOST_TEST(!fs::exists(place / "unseen/operations.csv"));
  BOOST_TEST(read_text(place / "seen/steps.csv") == read_text(place / "unseen/steps.csv"));
  BOOST_TEST(holds(read_text(place / "unseen/config.toml"), "watch = [\"none\"]"));
}

BOOST_AUTO_TEST_CASE(an_event_file_is_written_when_asked_for) {
  const Workplace place;
  const auto event_files = [&](const std::string& run) {
    return std::ranges::count_if(fs::directory_iterator(place / run), [](const fs::directory_entry& entry) {
      return entry.path().filename().string().starts_with("events.out.tfevents.");
    });
  };
  BOOST_TEST(place.train("--tensorboard --out with").code == 0);
  BOOST_TEST(event_files("with") == 1);
  BOOST_TEST(place.train("--out without").code == 0);
  BOOST_TEST(event_files("without") == 0);
}

BOOST_AUTO_TEST_CASE(a_forced_run_leaves_nothing_of_the_older_one) {
  const Workplace place;
  BOOST_TEST(place.train("--out one").code == 0);
  write_text(place / "one/notes.txt", "mine");
  write_text(place / "one/events.out.tfevents.1.host", "old");
  write_text(place / "one/lr-find.html", "old");
  BOOST_TEST(place.train("--watch none --force --out one").code == 0);
  BOOST_TEST(!fs::exists(place / "one/layers.csv"));
  BOOST_TEST(!fs::exists(place / "one/events.out.tfevents.1.host"));
  BOOST_TEST(!fs::exists(place / "one/lr-find.html"));
  BOOST_TEST(fs::exists(place / "one/notes.txt"));
}

BOOST_AUTO_TEST_CASE(a_second_run_takes_a_folder_of_its_own) {
  const Workplace place;
  BOOST_TEST(place.train("--steps 1").code == 0);
  BOOST_TEST(place.train("--steps 1").code == 0);
  BOOST_TEST(fs::exists(place / (standard_run + "-2") / "model.safetensors"));
}

BOOST_AUTO_TEST_CASE(a_config_file_repeats_its_run_step_by_step) {
  const Workplace place;
  BOOST_TEST(place
                 .train("--optimizer momentum --lr 0.3 --momentum 0.8 --weight-decay 0.01 --decay l2 --clip 2 "
                        "--group '*.bias:decay=0' --seed 9 --init kaiming --out first")
                 .code == 0);
  const Ending outcome = place.run("train --config first/config.toml --out second");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  BOOST_TEST(read_text(place / "first/steps.csv") == read_text(place / "second/steps.csv"));
  BOOST_TEST(read_text(place / "first/config.toml") == read_text(place / "second/config.toml"));
  BOOST_TEST(read_text(place / "first/model.safetensors") == read_text(place / "second/model.safetensors"));
}

BOOST_AUTO_TEST_CASE(augmentation_belongs_to_the_settings_of_a_run) {
  const Workplace place;
  BOOST_TEST(place.train("--out plain").code == 0);
  BOOST_TEST(place.train("--flip --shift 1 --out first").code == 0);
  BOOST_TEST(holds(read_text(place / "first/config.toml"), "\nflip = true\nshift = 1\n"));
  BOOST_TEST(read_text(place / "first/steps.csv") != read_text(place / "plain/steps.csv"));
  BOOST_TEST(place.run("train --config first/config.toml --out second").code == 0);
  BOOST_TEST(read_text(place / "first/steps.csv") == read_text(place / "second/steps.csv"));
  BOOST_TEST(place.run("train --config first/config.toml --no-flip --shift 0 --out third").code == 0);
  BOOST_TEST(read_text(place / "third/steps.csv") == read_text(place / "plain/steps.csv"));
}

BOOST_AUTO_TEST_CASE(options_count_more_than_the_config_file) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 1 --lr 0.001 --beta1 0.8 --out first").code == 0);
  BOOST_TEST(place.run("train --config first/config.toml --lr 0.002 --out second").code == 0);
  BOOST_TEST(holds(read_text(place / "second/config.toml"), "\nlr = 0.002\n"));
  BOOST_TEST(holds(read_text(place / "second/config.toml"), "\nbeta1 = 0.8\n"));
  // Another optimizer starts from its own defaults.
  const Ending outcome = place.run("train --config first/config.toml --optimizer sgd --out third");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  BOOST_TEST(holds(read_text(place / "third/config.toml"), "\nlr = 0.4\n"));
}

BOOST_AUTO_TEST_CASE(another_seed_or_no_shuffling_changes_the_steps) {
  const Workplace place;
  for (const auto* options : {"--out a", "--seed 1 --out b", "--no-shuffle --out c"}) {
    BOOST_TEST(place.train(std::string("--epochs 1 ") + options).code == 0);
  }
  const std::string first = read_text(place / "a/steps.csv");
  BOOST_TEST(first != read_text(place / "b/steps.csv"));
  BOOST_TEST(first != read_text(place / "c/steps.csv"));
}

BOOST_AUTO_TEST_CASE(steps_cut_a_run_that_still_validates_and_saves) {
  const Workplace place;
  BOOST_TEST(place.train("--steps 4 --epochs 9").code == 0);
  BOOST_TEST(place.lines(standard_run + "/steps.csv").size() == 5U);
  const std::vector<std::string> metrics = place.lines(standard_run + "/metrics.csv");
  BOOST_REQUIRE(metrics.size() == 3U);
  BOOST_TEST(metrics[2].starts_with("1,3,"));
  BOOST_TEST(fs::exists(place / standard_run / "model.safetensors"));
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_from_the_weights_of_another) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 1 --out first").code == 0);
  BOOST_TEST(place.train("--epochs 1 --out second --init-from first/model.safetensors").code == 0);
  BOOST_TEST(place.lines("first/steps.csv").at(1) != place.lines("second/steps.csv").at(1));
  BOOST_TEST(place.run("train --config second/config.toml --out third").code == 0);
  BOOST_TEST(read_text(place / "second/steps.csv") == read_text(place / "third/steps.csv"));
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_from_weights_for_other_classes_with_a_new_last_layer) {
  const Workplace place;
  BOOST_TEST(place.train("--epochs 1 --out first").code == 0);
  fs::copy(place / "halves", place / "thirds");
  for (const std::string part : {"train", "t10k"}) {
    const fs::path file = place / ("thirds/" + part + "-labels-idx1-ubyte");
    std::string labels = read_text(file);
    for (std::size_t i = 8; i < labels.size(); ++i) labels[i] = static_cast<char>(i % 3);
    write_text(file, labels);
  }
  // A run folder, or the file in it.
  for (const std::string from : {"first", "first/model.safetensors"}) {
    const Ending outcome = place.train("--data thirds --quiet --force --out second --init-from " + from);
    BOOST_TEST(outcome.code == 0, outcome.errors);
    BOOST_TEST(holds(outcome.errors, "other classes than the 3 of the data: drawn anew are 4.weight, 4.bias"),
               outcome.errors);
    BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 1, outcome.errors);
  }
  BOOST_TEST(place.run("eval second --data thirds").code == 0);
  check_refused(place.train("--init-from halves"), {"halves", "model.safetensors"});
}

BOOST_AUTO_TEST_CASE(an_older_run_is_overwritten_only_by_force) {
  const Workplace place;
  BOOST_TEST(place.train("--steps 1 --out kept").code == 0);
  const std::string before = read_text(place / "kept/model.safetensors");
  check_refused(place.train("--steps 2 --out kept"), {"--out", "kept", "--force"});
  BOOST_TEST(read_text(place / "kept/model.safetensors") == before);
  BOOST_TEST(place.train("--steps 2 --out kept --force").code == 0);
  BOOST_TEST(place.lines("kept/steps.csv").size() == 3U);
  BOOST_TEST(read_text(place / "kept/model.safetensors") != before);
}

BOOST_AUTO_TEST_CASE(progress_is_a_line_an_epoch_where_there_is_no_terminal_and_can_be_silenced) {
  const Workplace place;
  const Ending outcome = place.train("");
  BOOST_TEST(std::count(outcome.errors.begin(), outcome.errors.end(), '\n') == 2, outcome.errors);
  BOOST_TEST(!holds(outcome.errors, "\r"));
  BOOST_TEST(place.train("--quiet").errors.empty());
}

BOOST_AUTO_TEST_CASE(explain_prints_the_plan_and_does_not_train) {
  const Workplace place;
  const Ending outcome = place.train("--explain");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  for (const auto* part : {"implementation", "GFLOP/s", "training, batch 8", "validation, batch 6"}) {
    BOOST_TEST(holds(outcome.output, part), part);
  }
  BOOST_TEST(!fs::exists(place / "runs"));
}

BOOST_AUTO_TEST_CASE(unknown_options_and_names_come_with_the_nearest_right_one) {
  const Workplace place;
  check_refused(place.run("trian"), {"trian", "'train'"});
  check_refused(place.run(""), {"verb"});
  check_refused(place.train("--optimizr sgd"), {"--optimizr", "'--optimizer'"});
  check_refused(place.train("--batchsize=4"), {"--batchsize", "'--batch-size'"});
  check_refused(place.train("--optimizer adm"), {"adm", "'adam'"});
  check_refused(place.train("--model convnt"), {"convnt", "'convnet'"});
  check_refused(place.train("--data fashion-mnits"), {"fashion-mnits", "'fashion-mnist'"});
  check_refused(place.train("--decay decupled"), {"--decay", "'decoupled'"});
  check_refused(place.train("--init kaimng"), {"--init", "'kaiming'"});
  check_refused(place.train("--device cup"), {"--device", "'cpu'"});
  check_refused(place.train("--precision f23"), {"--precision", "'f32'"});
  check_refused(place.train("stray"), {"stray"});
  BOOST_TEST(!fs::exists(place / "runs"));
}

BOOST_AUTO_TEST_CASE(an_option_that_an_optimizer_does_not_have_is_refused_with_those_it_has) {
  const Workplace place;
  check_refused(place.train("--optimizer sgd --beta1 0.9"), {"--beta1", "'sgd'", "--lr, --weight-decay"});
  check_refused(place.train("--momentum 0.9"), {"--momentum", "'adam'", "--beta2"});
}

BOOST_AUTO_TEST_CASE(a_watched_layer_that_does_not_exist_is_refused_before_a_folder_is_made) {
  const Workplace place;
  check_refused(place.train("--watch 7"), {"--watch", "'7'"});
  check_refused(place.train("--watch kind:general_rel"), {"did you mean 'general_relu'"});
  check_refused(place.train("--watch-every 0"), {"--watch-every"});
  BOOST_TEST(!fs::exists(place / "runs"));
}

BOOST_AUTO_TEST_CASE(numbers_out_of_range_are_refused_by_the_options_name) {
  const Workplace place;
  for (const std::string option : {"--epochs", "--steps", "--batch-size", "--valid-batch-size", "--threads"}) {
    for (const auto* value : {"0", "-1", "1.5", "x", "99999999999999999999", "''"}) {
      check_refused(place.train(option + " " + value), {option});
    }
  }
  for (const auto* value : {"0", "-0.1", "nan", "inf", "1e400", "1e39", "0.1x", "''"}) {
    check_refused(place.train(std::string("--lr ") + value), {"--lr"});
    check_refused(place.train(std::string("--clip ") + value), {"--clip"});
  }
  check_refused(place.train("--beta1 1"), {"--beta1"});
  check_refused(place.train("--weight-decay -1"), {"--weight-decay"});
  check_refused(place.train("--seed -1"), {"--seed"});
  check_refused(place.train("--seed 9223372036854775808"), {"--seed"});
  check_refused(place.train("--lr"), {"--lr", "value"});
  BOOST_TEST(!fs::exists(place / "runs"));
}

BOOST_AUTO_TEST_CASE(malformed_groups_are_refused) {
  const Workplace place;
  for (const auto* group :
       {"bias", ":decay=0", "'*.bias:'", "'*.bias:decay'", "'*.bias:dekay=0'", "'*.bias:decay=-1'"}) {
    check_refused(place.train(std::string("--group ") + group), {"--group"});
  }
  check_refused(place.train("--group 'nothing.*:decay=0'"), {"nothing.*"});
}

BOOST_AUTO_TEST_CASE(broken_config_files_are_refused_by_name) {
  const Workplace place;
  check_refused(place.run("train --config none.toml"), {"none.toml"});
  write_text(place / "bad.toml", "epochs = \n");
  check_refused(place.run("train --config bad.toml"), {"bad.toml", "line 1"});
  write_text(place / "bad.toml", "epoch = 3\n");
  check_refused(place.run("train --config bad.toml"), {"bad.toml", "'epoch'", "'epochs'"});
  write_text(place / "bad.toml", "epochs = [1, 2]\n");
  check_refused(place.run("train --config bad.toml"), {"bad.toml", "'epochs'"});
  write_text(place / "bad.toml", "lr = -1.0\n");
  check_refused(place.run("train --config bad.toml"), {"bad.toml", "'lr'"});
  write_text(place / "bad.toml", "lr = nan\n");
  check_refused(place.run("train --config bad.toml"), {"bad.toml", "'lr'"});
}

BOOST_AUTO_TEST_CASE(bad_data_networks_and_weights_are_refused_before_a_folder_is_made) {
  const Workplace place;
  check_refused(place.train("--data nowhere"), {"nowhere"});
  write_text(place / "odd.toml", std::string(descent::test::network_text) + "colour = 3\n");
  check_refused(place.train("--model odd.toml"), {"odd.toml", "colour"});
  check_refused(place.train("--init-from none.safetensors"), {"none.safetensors"});
  write_text(place / "short.safetensors", "abc");
  check_refused(place.train("--init-from short.safetensors"), {"short.safetensors"});
  check_refused(place.train("--init-from short.safetensors --init kaiming"), {"--init-from", "--init"});
  check_refused(place.train("--plan none.json"), {"none.json"});
  write_text(place / "halves/t10k-labels-idx1-ubyte", "");
  check_refused(place.train(""), {"t10k-labels-idx1-ubyte"});
  BOOST_TEST(!fs::exists(place / "runs"));
}

BOOST_AUTO_TEST_CASE(a_folder_that_cannot_be_written_is_found_before_training) {
  const Workplace place;
  write_text(place / "file", "");
  check_refused(place.train("--out file/run"), {"file/run"});
  check_refused(place.train("--out file"), {"file"});
}

BOOST_AUTO_TEST_CASE(a_loss_that_is_not_finite_ends_the_run_with_code_1_and_no_weights) {
  const Workplace place;
  const Ending outcome = place.train("--optimizer sgd --lr 1e29 --epochs 20 --quiet");
  check_refused(outcome, {"not finite", "step"}, 1);
  BOOST_TEST(!fs::exists(place / "runs/halves-tiny-sgd/model.safetensors"));
}

BOOST_AUTO_TEST_CASE(tf32_is_refused_where_nothing_computes_in_it) {
  const Workplace place;
  check_refused(place.train("--precision tf32 --device cpu"), {"tf32", "'cuda'"});
  check_refused(place.train("--precision f16"), {"--precision", "'f16'", "'bf16'"});
}

BOOST_AUTO_TEST_CASE(help_shows_defaults_and_exit_codes) {
  const Workplace place;
  const Ending program = place.run("--help");
  BOOST_TEST(program.code == 0);
  BOOST_TEST(holds(program.output, "Exit codes"), program.output);
  const Ending train = place.run("train --help");
  BOOST_TEST(train.code == 0);
  for (const auto* part : {"--batch-size N", "default: 1024", "default: adam)", "adam 0.006",
                           "runs/<data>-<model>-<optimizer>[-N]"}) {
    BOOST_TEST(holds(train.output, part), part);
  }
}

BOOST_AUTO_TEST_CASE(an_interrupted_run_finishes_its_step_and_saves) {
  for (const auto& [name, number] : {std::pair{"TERM", 15}, std::pair{"HUP", 1}}) {
    const Workplace place;
    const std::string script =
        "cd '" + (place / "").string() +
        "' && '" DESCENT_PROGRAM
        "' train --data halves --model tiny.toml --batch-size 8 --epochs 5000 --threads 1 "
        "--out cut >/dev/null 2>stderr.txt & pid=$!; "
        "while ! [ -s '" +
        (place / "cut/model.safetensors").string() + "' ] && kill -0 $pid; do sleep 0.05; done; kill -" + name +
        " $pid; wait $pid";
    const int status = std::system(script.c_str());
    BOOST_TEST((WIFEXITED(status) ? WEXITSTATUS(status) : -1) == 128 + number);
    BOOST_TEST(holds(read_text(place / "stderr.txt"), "ended by signal " + std::to_string(number)));
    BOOST_TEST(fs::exists(place / "cut/model.safetensors"));
  }
}

// What nohup starts goes on when the terminal has gone.
BOOST_AUTO_TEST_CASE(an_ignored_hangup_stays_ignored) {
  const Workplace place;
  const std::string script = "cd '" + (place / "").string() +
                             "' && trap '' HUP && '" DESCENT_PROGRAM
                             "' train --data halves --model tiny.toml --batch-size 8 --epochs 300 --threads 1 "
                             "--out whole >/dev/null 2>&1 & pid=$!; "
                             "while ! [ -s '" +
                             (place / "whole/model.safetensors").string() +
                             "' ] && kill -0 $pid; do sleep 0.05; done; kill -HUP $pid; wait $pid";
  const int status = std::system(script.c_str());
  BOOST_TEST((WIFEXITED(status) ? WEXITSTATUS(status) : -1) == 0);
}

// The library or, where it was built, the GPU: one sentence says which is missing.
BOOST_AUTO_TEST_CASE(where_no_gpu_is_cuda_is_refused_and_nothing_is_written) {
  if (descent::test::find_gpu()) return;
  const Workplace place;
  for (const std::string verb : {"train", "lr-find"}) {
    const Ending outcome = place.run(verb + " --data halves --model tiny.toml --device cuda --out refused");
    check_refused(outcome, {});
    const bool names_it = holds(outcome.errors, "libdescent_cuda.so") ||
                          holds(outcome.errors, "NVIDIA driver") || holds(outcome.errors, "CUDA device");
    BOOST_TEST(names_it, outcome.errors);
    BOOST_TEST(!fs::exists(place / "refused"));
    BOOST_TEST(!fs::exists(place / "runs"));
  }
  check_refused(place.train("--device cuda:x"), {"--device", "the number of a GPU"});
  BOOST_TEST(holds(place.run("list devices").output, "not here: "));
  BOOST_TEST(holds(place.run("doctor").output, "does not work: "));
}

BOOST_AUTO_TEST_CASE(a_device_in_a_configuration_file_is_checked) {
  const Workplace place;
  write_text(place / "config.toml", "device = \"cuda:no\"\n");
  check_refused(place.train("--config config.toml"), {"config.toml", "the number of a GPU"});
  write_text(place / "config.toml", "device = \"cpu\"\nsteps = 1\n");
  BOOST_TEST(place.train("--config config.toml").code == 0);
}

BOOST_AUTO_TEST_CASE(doctor_says_what_it_finds) {
  const Workplace place;
  const Ending outcome = place.run("doctor");
  BOOST_TEST(outcome.code == 0, outcome.errors);
  for (const auto* part :
       {"processor", "cores", "oneDNN", "plan cache", "device cpu", "device cuda", "fashion-mnist"}) {
    BOOST_TEST(holds(outcome.output, part), part);
  }
}

BOOST_AUTO_TEST_CASE(the_command_in_run_json_names_the_program_without_its_folder) {
  const Workplace place;
  fs::create_directory(place / "my programs");
  fs::create_symlink(DESCENT_PROGRAM, place / "my programs/descent");
  const std::string command =
      "cd '" + (place / "").string() + "' && XDG_CACHE_HOME=\"$PWD/cache\" 'my programs/descent' train " +
      "--data halves --model tiny.toml --threads 1 --steps 1 --out 'my run' >log.txt 2>&1";
  BOOST_REQUIRE_MESSAGE(std::system(command.c_str()) == 0, read_text(place / "log.txt"));
  const std::string record = read_text(place / "my run/run.json");
  BOOST_TEST(holds(record,
                   "\"command\": \"descent train --data halves --model tiny.toml --threads 1 --steps 1 "
                   "--out 'my run'\""),
             record);
}

BOOST_AUTO_TEST_SUITE_END()
