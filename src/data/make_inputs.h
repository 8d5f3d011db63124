// Many pictures to inputs, in parallel.
#pragma once

#include "descent/picture.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace descent {

// Memory that a data set may take: half of the machine's.
[[nodiscard]] std::uint64_t most_data_set_bytes();

// count × C×H×W bytes; `picture` is called from several threads, once for each index. If any throws, the
// error of the lowest index is thrown. `source` names the data set if it would take over `most_bytes`.
[[nodiscard]] std::vector<std::uint8_t> make_inputs(std::size_t count, const Shape& input,
                                                    const std::function<Picture(std::size_t)>& picture,
                                                    const std::string& source, std::uint64_t most_bytes);

}  // namespace descent
