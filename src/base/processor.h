// The host's processor.
#pragma once

#include <string>

namespace descent {

// "AMD EPYC (family 26, model 2)", from the system; "unknown processor" where it does not say.
[[nodiscard]] std::string processor_name();

}  // namespace descent
