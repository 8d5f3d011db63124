// Pages for a browser: plain data here, one self-contained HTML file out. One renderer (page.js) draws them
// all. Values that are not finite are gaps. Texts may hold anything: they never become markup.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace descent::report {

struct Series {
  enum class Style : std::uint8_t { line, points, both };

  std::string label = {};
  std::vector<double> x = {};
  std::vector<double> y = {};  // as many as x
  Style style = Style::line;
  bool right = false;                       // belongs to the axis on the right
  bool hidden = false;                      // off until a person switches it on in the legend
  bool faint = false;                       // a thin, pale line: raw values beside smoothed ones
  std::optional<int> color = std::nullopt;  // place in the palette; series that belong together share one
};

// A vertical line.
struct Mark {
  double x = 0;
  std::string label;
};

struct Chart {
  std::string title;
  std::string note = {};  // a sentence below the title
  std::string x_label = {};
  std::string y_label = {};
  std::string right_label = {};  // of the axis on the right
  bool log_x = false;
  bool log_y = false;  // values that are not positive are gaps
  bool log_right = false;
  std::optional<double> y_min = std::nullopt;
  std::optional<double> y_max = std::nullopt;
  std::vector<Series> series = {};
  std::vector<Mark> marks = {};
  bool wide = false;  // takes the whole width of the page
};

// Horizontal bars; the groups of a bar are stacked.
struct Bars {
  struct Group {
    std::string label;
    std::vector<double> values;  // one a label
  };

  std::string title;
  std::string note = {};
  std::string x_label = {};
  std::vector<std::string> labels = {};
  std::vector<Group> groups = {};
  bool wide = false;
};

// A picture of numbers: column = place on x, row 0 at the bottom.
struct Heatmap {
  std::string title;
  std::string note = {};
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values = {};  // column after column, `rows` values each
  bool log_color = false;           // colours by log(1 + value), numbers as they are
  std::string x_label = {};
  double x_first = 0;  // place of the first column, and of the last
  double x_last = 0;
  std::string y_label = {};
  double y_low = 0;  // lower edge of row 0, upper edge of the last row
  double y_high = 0;
  std::string value_label = {};
  bool wide = false;
};

struct Table {
  std::string title;
  std::string note = {};
  std::vector<std::string> header = {};
  std::vector<std::vector<std::string>> rows = {};
  std::vector<bool> numeric = {};                // columns that are flush right
  std::vector<std::vector<double>> shades = {};  // 0..1 a cell, or empty: how strongly it is coloured
  bool wide = false;
};

// Tiles of one picture (a sprite), each with a caption.
struct Pictures {
  std::string title;
  std::string note = {};
  std::string png = {};  // the bytes of the file
  std::size_t columns = 1;
  std::size_t rows = 1;
  std::vector<std::string> captions = {};  // one a tile, row after row
  bool wide = true;
};

struct Facts {
  std::string title = {};
  std::vector<std::pair<std::string, std::string>> facts = {};
  bool wide = false;
};

// Text as it stands in a file.
struct Code {
  std::string title;
  std::string note = {};
  std::string text = {};
  bool wide = true;
};

using Item = std::variant<Chart, Bars, Heatmap, Table, Pictures, Facts, Code>;

struct Section {
  std::string id;  // of its link: letters, digits, hyphens
  std::string title;
  std::string text = {};  // a paragraph
  std::vector<Item> items = {};
};

struct Page {
  std::string title;
  std::string subtitle = {};
  std::vector<Section> sections = {};
};

// One HTML file that needs no other: styles, scripts, pictures and data are inside.
[[nodiscard]] std::string page_text(const Page& page);

}  // namespace descent::report
