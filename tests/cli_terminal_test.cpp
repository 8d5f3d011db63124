// What descent train shows on a terminal: one line that is drawn again and again and never wraps, and a table
// that stays.
#include "screen.h"
#include "workplace.h"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace descent::test;

namespace {

class Place : public Workplace {
 public:
  [[nodiscard]] std::string command(const std::string& environment, const std::string& arguments) const {
    return "cd '" + (*this / "").string() +
           "' && unset LC_ALL LC_CTYPE LANG NO_COLOR && TERM=xterm XDG_CACHE_HOME=cache " + environment +
           " exec '" DESCENT_PROGRAM
           "' train --data halves --model tiny.toml --batch-size 8 --threads 1 --watch none --out run " +
           arguments;
  }
};

// Everything that was on the terminal's last line at some time.
std::vector<std::string> drawn_lines(const std::string& output) {
  std::vector<std::string> lines;
  const std::string begin = "\r\033[K";
  for (std::size_t at = output.find(begin); at != std::string::npos;) {
    const std::size_t next = output.find(begin, at + 1);
    Screen screen(1000);
    screen.show(output.substr(at, next == std::string::npos ? next : next - at));
    lines.push_back(screen.lines().front());
    at = next;
  }
  return lines;
}

std::string longest(const std::vector<std::string>& lines) {
  return *std::ranges::max_element(lines, {}, [](const std::string& line) { return line.size(); });
}

// The table of the epochs, then where the results are; nothing else, and the cursor on a new line.
void check_final_screen(const Screen& screen, std::size_t epochs) {
  const std::vector<std::string> lines = screen.lines();
  BOOST_REQUIRE_EQUAL(lines.size(), epochs + 3);
  BOOST_TEST(lines[0] == "epoch  train loss  accuracy  valid loss  accuracy  time");
  for (std::size_t epoch = 0; epoch < epochs; ++epoch) {
    BOOST_TEST(lines[epoch + 1].starts_with("    " + std::to_string(epoch) + "       0."), lines[epoch + 1]);
    BOOST_TEST(lines[epoch + 1].size() == lines[0].size());
  }
  BOOST_TEST(lines[epochs + 1] == "results in run");
  BOOST_TEST(lines[epochs + 2].empty());
  BOOST_TEST(screen.column() == 0U);
  BOOST_TEST(screen.unknown().empty(), screen.unknown());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cli_terminal)

BOOST_AUTO_TEST_CASE(a_line_is_drawn_and_erased_and_a_table_stays,
                     *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  TerminalRun run(place.command("LANG=C.UTF-8", "--epochs 2"), 80);
  run.follow();
  BOOST_TEST(run.exit_code() == 0);
  check_final_screen(run.screen, 2);
  BOOST_TEST(!run.screen.wrapped());
  const std::string line = longest(drawn_lines(run.output));
  for (const auto* part : {" %  loss 0.", " images/s", " left", "━━━━━━━━", "█", "▁"}) {
    BOOST_TEST(holds(line, part), line << " lacks " << part);
  }
  BOOST_TEST(holds(run.output, "────────"));
  BOOST_TEST(holds(run.output, "train  1/2 "));
  BOOST_TEST(holds(run.output, "valid  1/2 "));
  BOOST_TEST(holds(run.output, "train  2/2 "));
  BOOST_TEST(holds(run.output, "\033[36m━"));
}

BOOST_AUTO_TEST_CASE(no_width_makes_a_line_wrap_and_wider_ones_show_more,
                     *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  for (const int columns : {10, 40, 56, 80, 120, 200, 400}) {
    TerminalRun run(place.command("LC_ALL=en_GB.utf8", "--epochs 1 --force --quiet >/dev/null"),
                    static_cast<unsigned short>(columns));
    run.follow();
    BOOST_TEST(run.output.empty(), "--quiet: " << run.output);
    TerminalRun loud(place.command("LC_ALL=en_GB.utf8", "--epochs 1 --force >/dev/null"),
                     static_cast<unsigned short>(columns));
    loud.follow();
    BOOST_TEST_CONTEXT(columns << " columns") {
      BOOST_TEST(loud.exit_code() == 0);
      BOOST_TEST(!loud.screen.wrapped());
      const std::string line = longest(drawn_lines(loud.output));
      BOOST_TEST(holds(loud.output, "loss 0.") == (columns >= 40), line);
      BOOST_TEST(holds(loud.output, "images/s") == (columns >= 80), line);
      BOOST_TEST(holds(loud.output, "  accuracy ") == (columns >= 120), line);
      BOOST_TEST(loud.screen.lines().size() == 1U);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_locale_without_utf8_gets_plain_characters_and_no_color_no_colours,
                     *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  for (const auto* locale : {"", "LANG=C", "LANG=C.UTF-8 LC_ALL=POSIX"}) {
    TerminalRun run(place.command(std::string(locale) + " NO_COLOR=1", "--epochs 1 --force"), 80);
    run.follow();
    check_final_screen(run.screen, 1);
    BOOST_TEST(std::ranges::all_of(run.output,
                                   [](char byte) { return (static_cast<unsigned char>(byte) & 0x80U) == 0; }));
    BOOST_TEST(!holds(run.output, "\033[3"));
    BOOST_TEST(!holds(run.output, "\033[2m"));
    for (const auto* part : {"train  1/1 --------", "valid  1/1 --------", "########", "@"}) {
      BOOST_TEST(holds(run.output, part), run.output << " lacks " << part);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_terminal_that_becomes_narrow_is_followed,
                     *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  TerminalRun run(place.command("LANG=C.UTF-8", "--epochs 60"), 120);
  run.follow([&] { return holds(run.output, " images/s"); });
  run.resize(50);
  run.follow();
  BOOST_TEST(run.exit_code() == 0);
  const std::vector<std::string> lines = run.screen.lines();
  BOOST_TEST(lines.back().empty());
  BOOST_TEST(std::ranges::count(lines, "results in run") == 1);
  BOOST_TEST(run.screen.column() == 0U);
  const std::vector<std::string> drawn = drawn_lines(run.output);
  BOOST_TEST(std::ranges::count_if(drawn, [](const std::string& line) { return holds(line, "images/s"); }) <
             static_cast<std::ptrdiff_t>(drawn.size() / 2));
}

BOOST_AUTO_TEST_CASE(ctrl_c_leaves_a_clean_line, *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  TerminalRun run(place.command("LANG=C.UTF-8", "--epochs 500"), 80);
  run.follow([&] { return holds(run.output, " images/s"); });
  run.type("\x03");
  run.follow();
  BOOST_TEST(run.exit_code() == 130);
  BOOST_TEST(!run.screen.wrapped());
  const std::vector<std::string> lines = run.screen.lines();
  BOOST_REQUIRE_GE(lines.size(), 3U);
  BOOST_TEST(lines.back().empty());
  BOOST_TEST(run.screen.column() == 0U);
  const std::string& last = lines[lines.size() - 2];
  BOOST_TEST(last.starts_with("descent: ended by signal 2; "), last);
  for (const std::string& line : lines) BOOST_TEST(!holds(line, "images/s"), line);
}

BOOST_AUTO_TEST_CASE(an_error_leaves_a_clean_line, *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  TerminalRun run(place.command("LANG=C.UTF-8", "--epochs 1 --lr 1e20 --optimizer sgd"), 200);
  run.follow();
  BOOST_TEST(run.exit_code() == 1);
  const std::vector<std::string> lines = run.screen.lines();
  BOOST_REQUIRE_EQUAL(lines.size(), 3U);
  BOOST_TEST(lines[1].starts_with("descent: the loss is not finite at step "), lines[1]);
  BOOST_TEST(lines[2].empty());
}

BOOST_AUTO_TEST_CASE(a_terminal_that_understands_nothing_and_a_log_file_get_whole_lines,
                     *boost::unit_test::precondition(pseudo_terminals_exist)) {
  const Place place;
  TerminalRun dumb(place.command("LANG=C.UTF-8 TERM=dumb", "--epochs 2"), 200);
  dumb.follow();
  BOOST_TEST(dumb.screen.sequences() == 0U);
  BOOST_TEST(holds(dumb.output, "epoch 1: train loss 0."));

  // Both streams in one file, the terminal is there still.
  TerminalRun logged(place.command("LANG=C.UTF-8", "--epochs 2 --force >log.txt 2>&1"), 80);
  logged.follow();
  BOOST_TEST(logged.output.empty());
  const std::string log = read_text(place / "log.txt");
  BOOST_TEST(!holds(log, "\033"));
  BOOST_TEST(!holds(log, "\r"));
  BOOST_TEST(std::ranges::count(log, '\n') == 6);
}

BOOST_AUTO_TEST_SUITE_END()
