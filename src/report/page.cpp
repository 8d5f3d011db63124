#include "report/page.h"

#include "report/assets.h"
#include "report/json_text.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace descent::report {

namespace {

constexpr int x_digits = 9;  // steps must stay whole numbers
constexpr int y_digits = 5;

std::string html_text(std::string_view text) {
  std::string out;
  for (const char character : text) {
    switch (character) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += character;
    }
  }
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  constexpr std::size_t group = 3;
  std::string out;
  out.reserve((bytes.size() + group - 1) / group * 4);
  for (std::size_t i = 0; i < bytes.size(); i += group) {
    const std::size_t count = std::min(group, bytes.size() - i);
    unsigned bits = 0;
    for (std::size_t k = 0; k < group; ++k) {
      bits = bits << 8U | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= count ? digits[bits >> (18U - 6U * k) & 63U] : '=';
    }
  }
  return out;
}

// Series of one page mostly share their places on x, which are therefore written once.
class PageWriter {
 public:
  std::string write(const Page& page) {
    {
      JsonObject object(out_);
      object.text("title", page.title);
      object.text("subtitle", page.subtitle);
      object.key("sections");
      append_array(out_, page.sections, [&](const Section& section) { write(section); });
      object.key("places");
      append_array(out_, places_, [&](const std::vector<double>* x) {
        append_array(out_, *x, [&](double value) { append_json(out_, value, x_digits); });
      });
    }
    return std::move(out_);
  }

 private:
  void write(const Section& section) {
    JsonObject object(out_);
    object.text("id", section.id);
    object.text("title", section.title);
    object.text("text", section.text);
    object.key("items");
    append_array(out_, section.items,
                 [&](const Item& item) { std::visit([&](const auto& one) { write_item(one); }, item); });
  }

  template <class One>
  void write_item(const One& one) {
    JsonObject object(out_);
    object.text("kind", kind(one));
    object.text("title", one.title);
    if constexpr (requires { one.note; }) object.text("note", one.note);
    object.flag("wide", one.wide);
    members(object, one);
  }

  static std::string_view kind(const Chart& /*item*/) { return "chart"; }
  static std::string_view kind(const Bars& /*item*/) { return "bars"; }
  static std::string_view kind(const Heatmap& /*item*/) { return "heatmap"; }
  static std::string_view kind(const Table& /*item*/) { return "table"; }
  static std::string_view kind(const Pictures& /*item*/) { return "pictures"; }
  static std::string_view kind(const Facts& /*item*/) { return "facts"; }
  static std::string_view kind(const Code& /*item*/) { return "code"; }

  void members(JsonObject& object, const Chart& chart) {
    object.text("xLabel", chart.x_label);
    object.text("yLabel", chart.y_label);
    object.text("rightLabel", chart.right_label);
    object.flag("logX", chart.log_x);
    object.flag("logY", chart.log_y);
    object.flag("logRight", chart.log_right);
    if (chart.y_min) object.number("yMin", *chart.y_min);
    if (chart.y_max) object.number("yMax", *chart.y_max);
    object.key("series");
    append_array(out_, chart.series, [&](const Series& series) { write(series); });
    object.key("marks");
    append_array(out_, chart.marks, [&](const Mark& mark) {
      JsonObject one(out_);
      one.number("x", mark.x);
      one.text("label", mark.label);
    });
  }

  void write(const Series& series) {
    constexpr std::array<std::string_view, 3> styles{"", "points", "both"};
    JsonObject object(out_);
    object.text("label", series.label);
    object.number("x", static_cast<double>(place(series.x)));
    object.numbers("y", series.y, y_digits);
    object.text("style", styles.at(static_cast<std::size_t>(series.style)));
    object.flag("right", series.right);
    object.flag("hidden", series.hidden);
    object.flag("faint", series.faint);
    if (series.color) object.number("color", *series.color);
  }

  std::size_t place(const std::vector<double>& x) {
    const auto same = std::ranges::find_if(places_, [&](const auto* other) { return *other == x; });
    if (same == places_.end()) {
      places_.push_back(&x);
      return places_.size() - 1;
    }
    return static_cast<std::size_t>(same - places_.begin());
  }

  void members(JsonObject& object, const Bars& bars) {
    object.text("xLabel", bars.x_label);
    object.texts("labels", bars.labels);
    object.key("groups");
    append_array(out_, bars.groups, [&](const Bars::Group& group) {
      JsonObject one(out_);
      one.text("label", group.label);
      one.numbers("values", group.values, y_digits);
    });
  }

  static void members(JsonObject& object, const Heatmap& map) {
    object.number("rows", static_cast<double>(map.rows));
    object.number("columns", static_cast<double>(map.columns));
    object.numbers("values", map.values, y_digits);
    object.flag("logColor", map.log_color);
    object.text("xLabel", map.x_label);
    object.number("xFirst", map.x_first);
    object.number("xLast", map.x_last);
    object.text("yLabel", map.y_label);
    object.number("yLow", map.y_low);
    object.number("yHigh", map.y_high);
    object.text("valueLabel", map.value_label);
  }

  void members(JsonObject& object, const Table& table) {
    object.texts("header", table.header);
    object.key("rows");
    append_array(out_, table.rows, [&](const auto& row) {
      append_array(out_, row, [&](const std::string& cell) { append_json(out_, cell); });
    });
    object.key("numeric");
    append_array(out_, table.numeric, [&](bool numeric) { out_ += numeric ? '1' : '0'; });
    if (table.shades.empty()) return;
    object.key("shades");
    append_array(out_, table.shades, [&](const auto& row) {
      append_array(out_, row, [&](double shade) { append_json(out_, shade, 3); });
    });
  }

  static void members(JsonObject& object, const Pictures& pictures) {
    object.text("sprite", "data:image/png;base64," + base64(pictures.png));
    object.number("columns", static_cast<double>(pictures.columns));
    object.number("rows", static_cast<double>(pictures.rows));
    object.texts("captions", pictures.captions);
  }

  void members(JsonObject& object, const Facts& facts) {
    object.key("facts");
    append_array(out_, facts.facts, [&](const auto& fact) {
      out_ += '[';
      append_json(out_, fact.first);
      out_ += ',';
      append_json(out_, fact.second);
      out_ += ']';
    });
  }

  static void members(JsonObject& object, const Code& code) { object.text("text", code.text); }

  std::string out_;
  std::vector<const std::vector<double>*> places_;
};

}  // namespace

std::string page_text(const Page& page) {
  const std::array<std::pair<std::string_view, std::string>, 5> parts{{
      {"{{title}}", html_text(page.title)},
      {"{{css}}", std::string(page_css())},
      {"{{data}}", PageWriter().write(page)},
      {"{{chart.js}}", std::string(chart_js())},
      {"{{scripts}}", std::string(charts_js()) + std::string(pictures_js()) + std::string(page_js())},
  }};
  // Left to right, so that nothing inside a part is taken for a place.
  std::string out;
  std::string_view rest = page_html();
  for (const auto& [place, text] : parts) {
    const std::size_t at = rest.find(place);
    out += rest.substr(0, at);
    out += text;
    rest.remove_prefix(at + place.size());
  }
  return out += rest;
}

}  // namespace descent::report
