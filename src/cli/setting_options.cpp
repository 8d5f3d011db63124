#include "cli/setting_options.h"

#include "cli/cli.h"

#include <fmt/format.h>

#include <vector>

namespace descent::cli {

void add_setting(CLI::App& verb, const Setting& setting, const TakeGiven& take) {
  const std::string option = "--" + setting.name;
  const auto give = [take, name = setting.name](const std::string& label, const std::string& text) {
    take(name, {label, text});
  };
  if (setting.form == Setting::Form::on_off) {
    const bool on = setting.standard == "on";
    verb.add_flag_callback(
        option, [give, option] { give(option, "true"); }, setting.help + (on ? " (default)" : ""));
    const std::string opposite = "--no-" + setting.name;
    verb.add_flag_callback(
        opposite, [give, opposite] { give(opposite, "false"); }, on ? "do not" : "do not (default)");
  } else if (setting.form == Setting::Form::list) {
    verb.add_option_function<std::vector<std::string>>(
            option,
            [give, option](const std::vector<std::string>& texts) {
              for (const std::string& text : texts) give(option, text);
            },
            fmt::format("{} (default: {})", setting.help, setting.standard))
        ->type_name(setting.type)
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all();
  } else {
    add_value(verb, option, setting.type, setting.help, setting.standard,
              [give, option](const std::string& text) { give(option, text); });
  }
}

}  // namespace descent::cli
