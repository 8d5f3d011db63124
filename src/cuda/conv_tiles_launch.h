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
                  {tile_threads, 1, 1},
                  0};
  launch(context, "conv tiles", grid, conv_tiles<Element, Shape, width>, gather, ending, source, weights,
         destination);
}

template <class Element, int width>
void launch_tiles_in(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                     const Element* source, const float* weights, Element* destination) {
  const auto launch_shape = [&]<class Shape>(Shape /*shape*/) {
    launch_tiles_of<Element, Shape, width>(context, gather, ending, source, weights, destination);
  };
  constexpr int few = 64 * 128;  // cells: larger tiles would leave most multiprocessors idle
  if (gather.out <= 8) return launch_shape(TileShape<128, 8, 4, 2>{});
  if (gather.out <= 16 && gather.cells(0) < few) return launch_shape(TileShape<32, 16, 2, 2>{});
  if (gather.out <= 16) return launch_shape(TileShape<128, 16, 4, 4>{});
  if (gather.out <= 32) return launch_shape(TileShape<64, 32, 4, 4>{});
  // Large enough to keep every multiprocessor busy with two blocks.
  constexpr std::int64_t many = 264;
  const std::int64_t large =
      static_cast<std::int64_t>((gather.cells(0) + 127) / 128) * ((gather.out + 63) / 64);
  if (width == 4 && large * gather.phases() >= many) return launch_shape(TileShape<128, 64, 8, 8>{});
  launch_shape(TileShape<32, 64, 4, 4>{});
}

template <class Element>
void launch_conv_tiles(const CudaContext& context, const Gather& gather, const ConvEnding<Element>& ending,
                       const Element* source, const float* weights, Element* destination) {
  if (gather.in % 4 == 0)
    return launch_tiles_in<Element, 4>(context, gather, ending, source, weights, destination);
  launch_tiles_in<Element, 1>(context, gather, ending, source, weights, destination);
}

}  // namespace descent
