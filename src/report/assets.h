// Files of this folder and Chart.js, compiled into the program.
#pragma once

#include <string_view>

namespace descent::report {

[[nodiscard]] std::string_view page_html();
[[nodiscard]] std::string_view page_css();
[[nodiscard]] std::string_view charts_js();
[[nodiscard]] std::string_view pictures_js();
[[nodiscard]] std::string_view page_js();
[[nodiscard]] std::string_view chart_js();

}  // namespace descent::report
