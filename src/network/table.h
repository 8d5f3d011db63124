// A network as a table: what `descent inspect` prints and a run folder keeps.
#pragma once

#include "descent/network.h"

#include <cstdint>
#include <string>
#include <vector>

namespace descent {

struct LayerRow {
  std::string layer;
  std::string operation;
  Shape input;
  Shape output;
  std::int64_t parameters = 0;  // trained
  std::int64_t macs = 0;        // multiply-accumulates, forward, one picture
};

// A row a layer, in the network's order.
[[nodiscard]] std::vector<LayerRow> layer_rows(const Network& network);

}  // namespace descent
