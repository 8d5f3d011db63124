// Which tiles a convolution is cut into. Included by the files that compile the kernels of one type.
#pragma once

#include "cuda/conv_launches.h"
#include "cuda/conv_tiles.h"
#include "cuda/launch.h"

#include <algorithm>

namespace descent {

template <class Element, class Shape, int width>
void launch_tiles_of(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                     const Element* source, const float* weights, Element* destination) {
  const int tiles = (gather.cells(0) + Shape::cells - 1) / Shape::cells;
  const int column_tiles = (gather.out + Shape::columns - 1) / Shape::columns;
  // With sums a block takes several tiles one after the other, and the parts are few. The first phase is the
  // largest.
  int blocks = tiles;
  if (ending.sums.partial != nullptr && tiles > most_parts) {
    const int each = (tiles + most_parts - 1) / most_parts;
    blocks = (tiles + each - 1) / each;
  }
  const Grid grid{{static_cast<unsigned>(blocks), static_cast<unsigned>(gather.groups * column_tiles),
                   static_cast<unsigned>(gather.phases())},
                  {Shape::threads, 1, 1},
                  Shape::shared_bytes};
  launch(context, "conv tiles", grid, conv_tiles<Element, Shape, width>, gather, ending, source, weights,
         destination);
}

template <class Element, int width>
void launch_tiles_in(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                     const Element* source, const float* weights, Element* destination) {
  const auto launch_shape = [&]<class Shape>(Shape /*shape*/) {
    launch_tiles_of<Element, Shape, width>(context, gather, ending, source, weights, destination);
  };
  // Smaller tiles where larger ones would leave most multiprocessors idle, and there more teams.
  const int cells = gather.cells(0);
  constexpr int few = 1 << 11;
  constexpr int many = 1 << 14;
  if (gather.out <= 8) return launch_shape(TileShape<128, 8, 4, 2, 1, 6>{});
  if (gather.out <= 16) {
    if (cells <= few) return launch_shape(TileShape<8, 16, 1, 1, 4, 2>{});
    if (cells < many) return launch_shape(TileShape<32, 16, 2, 2, 4, 2>{});
    return launch_shape(TileShape<128, 16, 4, 4, 2, 3>{});
  }
  if (gather.out <= 32 && cells >= many) return launch_shape(TileShape<64, 32, 4, 4, 2, 2>{});
  // Large enough to keep every multiprocessor busy with two blocks.
  constexpr std::int64_t enough = 264;
  const std::int64_t large = static_cast<std::int64_t>((cells + 127) / 128) * ((gather.out + 63) / 64);
  if (width == 4 && gather.out > 32 && large * gather.phases() >= enough)
    return launch_shape(TileShape<128, 64, 8, 8, 1, 2>{});
  launch_shape(TileShape<32, 32, 2, 4, 4, 2>{});
}

template <class Element>
void launch_conv_tiles(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                       const Element* source, const float* weights, Element* destination) {
  if (gather.in % 4 == 0)
    return launch_tiles_in<Element, 4>(context, gather, ending, source, weights, destination);
  launch_tiles_in<Element, 1>(context, gather, ending, source, weights, destination);
}

}  // namespace descent
