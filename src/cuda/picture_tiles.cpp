#include "cuda/picture_tiles.h"

namespace descent {

namespace {

// Source positions along one axis from the first on, or from before it, to the last that some window reads.
struct Reach {
  int first = 0;
  int count = 0;

  explicit Reach(const GatherAxis& axis) {
    int last = -1;
    for (int phase = 0; phase < axis.phases(); ++phase) {
      for (int tap = 0; tap < axis.kernel; ++tap) {
        if (!axis.has(phase, tap) || axis.cells(phase) == 0) continue;
        first = std::min(first, axis.origin(0) + axis.shift(phase, tap));
        last = std::max(last, axis.origin(axis.cells(phase) - 1) + axis.shift(phase, tap));
      }
    }
    count = last - first + 1;
  }
};

void frame_pictures(PictureTiles& tiles, const Gather& gather) {
  const Reach rows(gather.rows);
  const Reach columns(gather.columns);
  tiles.first_row = rows.first;
  tiles.first_column = columns.first;
  tiles.rows = rows.count;
  tiles.columns = columns.count;
  tiles.width = gather.in >= 4 ? 4 : 1;
  tiles.channels = (gather.in + tiles.width - 1) / tiles.width * tiles.width;
  tiles.pitch = tiles.width == 4 && tiles.channels % 8 == 0 ? tiles.channels + 4 : tiles.channels;
  tiles.by_channels = Divider(tiles.channels);
}

void divide_rows(PictureTiles& tiles, const Gather& gather) {
  const int in = gather.in;
  const bool fours = in % 4 == 0 || (in == 1 && tiles.loaded_columns(gather) % 4 == 0 &&
                                     tiles.loaded_column() % 4 == 0 && gather.columns.source % 4 == 0);
  tiles.vector = fours ? 4 : 1;
  tiles.row_vectors = tiles.loaded_columns(gather) * in / tiles.vector;
  tiles.by_row_vectors = Divider(tiles.row_vectors);
  tiles.by_rows = Divider(tiles.loaded_rows(gather));
  tiles.by_in = Divider(in);
}

void count_items(PictureTiles& tiles, const Gather& gather) {
  // The first adds up the sums of all others. Linear layers, whose weights take longer to load than to multiply
  // with, are left to tiles where so few threads work.
  const int most_teams = gather.kernel() > 1 ? 32 : PictureTiles::warps;
  int most_taps = 0;
  for (int phase = 0; phase < gather.phases(); ++phase) {
    const int cells = gather.phase_table[phase].cells * tiles.pictures;
    tiles.quads[phase] = (cells + PictureTiles::high - 1) / PictureTiles::high;
    tiles.items += tiles.quads[phase] * tiles.packs();
    most_taps = std::max<int>(most_taps, gather.first_tap[phase + 1] - gather.first_tap[phase]);
  }
  const int steps = most_taps * tiles.tap_steps();
  while (tiles.teams() < most_teams && tiles.items * tiles.teams() * 2 <= PictureTiles::threads &&
         tiles.teams() * 2 <= steps)
    ++tiles.teams_log;
}

}  // namespace

std::optional<PictureTiles> PictureTiles::of(const CudaContext& context, const Gather& gather) {
  constexpr int least_pictures = 32;
  constexpr int least_working = 64;   // threads; with fewer, loading takes longer than multiplying
  constexpr int wanted_blocks = 264;  // two a multiprocessor of the largest devices
  constexpr std::size_t most_shared = 110U << 10U;  // so that two blocks share a multiprocessor
  constexpr std::size_t fixed = 4U << 10U;          // of what the kernel has besides
  if (!gather.has_table || gather.groups > 1 || gather.pictures < least_pictures) return {};
  PictureTiles tiles;
  frame_pictures(tiles, gather);
  if (tiles.loaded_rows(gather) <= 0 || tiles.loaded_columns(gather) <= 0) return {};
  divide_rows(tiles, gather);
  while (tiles.out() < gather.out && tiles.out() < most_columns) ++tiles.packs_log;
  tiles.out_tiles = (gather.out + tiles.out() - 1) / tiles.out();
  const std::size_t limit = std::min(context.shared_bytes - fixed, most_shared);
  tiles.pictures = std::max(1, (gather.pictures * tiles.out_tiles + wanted_blocks - 1) / wanted_blocks);
  while (tiles.pictures > 1 && tiles.shared_bytes(gather) > limit) --tiles.pictures;
  count_items(tiles, gather);
  if (tiles.shared_bytes(gather) > limit || tiles.items * tiles.teams() < least_working) return {};
  return tiles;
}

}  // namespace descent
