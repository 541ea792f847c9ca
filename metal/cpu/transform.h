// The input transform of Winograd's algorithm: from rows of an image to the values of tiles at every point.
#ifndef TWIN_TRANSFORM_H
#define TWIN_TRANSFORM_H
#include "plan.h"
#include "surface.h"
#include "winograd.h"

namespace {
namespace twin {

struct tile_place {
    int x, y;
    uint32_t image;
};

TWIN_INLINE tile_place place_of_tile(const image_plan &plan, uint32_t tile)
{
    const uint32_t row = tile / plan.columns;
    return {int(tile % plan.columns) * TILE, int(row % plan.rows_of_tiles) * TILE, row / plan.rows_of_tiles};
}

enum { SEGMENT = 8 };           // most tiles of a row that are transformed together

// Rows of texels that a segment's windows cover, and some more: a whole number of vectors.
template <int TAPS> struct segment_rows {
    enum { SIZE = winograd<TAPS>::SIZE, TEXELS_OF_ROW = (SEGMENT + 1) * TILE };
    alignas(64) float at[SIZE][TEXELS_OF_ROW * 4];
};

// Where a segment's windows lie in a slice: `texels` columns from `x` and SIZE rows from `y`, both perhaps outside.
struct segment_place {
    size_t slice;
    int x, y, texels;
};

// The columns of TEXELS neighbouring windows in one row: column x of window i in texel i of d[x].
template <int SIZE> TWIN_INLINE void gather_columns(const float *row, vf *d)
{
#if defined(__AVX512F__)
    for (int i = 0; i < TILE; ++i)
        d[i] = load(row + i * LANES);
    transpose(d);
    // The last columns are the next window's first ones.
    const vf next = load(row + TILE * LANES);
    d[4] = __builtin_shufflevector(d[0], next, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19);
    d[5] = __builtin_shufflevector(d[1], next, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23);
    if (SIZE == 8) {
        d[SIZE - 2] = __builtin_shufflevector(d[2], next, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27);
        d[SIZE - 1] = __builtin_shufflevector(d[3], next, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 28, 29, 30, 31);
    }
#else
    const float *windows[TEXELS];
    for (int i = 0; i < TEXELS; ++i)
        windows[i] = row + i * TILE * 4;
    for (int x = 0; x < SIZE; ++x)
        d[x] = join_at(windows, x * 4);
#endif
}

// Transforms the columns of a segment. Returns the sum of the squares of what it has read, so that the caller sees what
// the transform cannot take.
template <int TAPS>
TWIN_INLINE vf transform_columns(const surface &from, const segment_place &at, segment_rows<TAPS> &rows)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    const char *lines[SIZE];
    for (int y = 0; y < SIZE; ++y)
        lines[y] = from.line_at(at.slice, at.y + y);
    vf squares = {};
    for (int x = 0; x < at.texels; x += TEXELS) {
        vf d[SIZE], o[SIZE];
        const bool is_inside = at.x + x >= 0 && at.x + x + TEXELS <= int(from.texture.width);
#pragma GCC unroll 8
        for (int y = 0; y < SIZE; ++y) {
            d[y] = is_inside ? from.read_line(lines[y], at.x + x) : from.read_edge(lines[y], at.x + x);
            squares += d[y] * d[y];
        }
        if (is_inside)
#pragma GCC unroll 8
            for (int y = 0; y < SIZE; ++y)
                from.fetch_next(lines[y], at.x + x);
        winograd<TAPS>::input(d, o);
#pragma GCC unroll 8
        for (int y = 0; y < SIZE; ++y)
            store(rows.at[y] + x * 4, o[y]);
    }
    return squares;
}

// The same of a texture of another format.
template <int TAPS>
__attribute__((noinline)) vf convert_columns(const surface &from, const segment_place &at, segment_rows<TAPS> &rows)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    const surface copied = surface::of_floats(rows.at[0], segment_rows<TAPS>::TEXELS_OF_ROW, SIZE);
    for (int y = 0; y < SIZE; ++y)
        from.copy_row(at.slice, at.x, at.y + y, at.texels, rows.at[y]);
    return transform_columns<TAPS>(copied, {0, 0, 0, at.texels}, rows);
}

// Transforms the rows of a segment: to[point][tile][4].
template <int TAPS>
TWIN_INLINE void transform_rows(const segment_rows<TAPS> &rows, int count, float *to, size_t point_step)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    for (int tile = 0; tile < count; tile += TEXELS)
        for (int y = 0; y < SIZE; ++y) {
            vf d[SIZE], o[SIZE];
            gather_columns<SIZE>(rows.at[y] + tile * TILE * 4, d);
            winograd<TAPS>::input(d, o);
#pragma GCC unroll 8
            for (int x = 0; x < SIZE; ++x)
                store(to + (y * SIZE + x) * point_step + tile * 4, o[x]);
        }
}

// Marks tiles that see a NaN, an infinity or a number beyond 1e18: those would reach all pixels of the tile, or
// overflow where the kernel does not.
template <int TAPS>
__attribute__((noinline)) void mark_tiles(const surface &from, size_t slice, tile_place at, int count, bool *is_marked)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    for (int tile = 0; tile < count; ++tile)
        for (int y = 0; y < SIZE; ++y) {
            float row[SIZE * 4];
            from.copy_row(slice, at.x + tile * TILE - TAPS / 2, at.y + y - TAPS / 2, SIZE, row);
            for (int i = 0; i < SIZE * 4; ++i)
                is_marked[tile] |= !(row[i] < 1e18f && row[i] > -1e18f);
        }
}

// Transforms all slices of a source for the tiles of a block: [point][slice][tile][4]. What is written past a slice's
// last tile is overwritten by the next slice.
template <int TAPS>
inline void transform_term(const image_plan &plan, const surface &from, uint32_t slices, uint32_t first, uint32_t count,
                           float *to, size_t point_step, bool *is_marked)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    segment_rows<TAPS> rows;
    for (uint32_t s = 0; s < slices; ++s, to += size_t(plan.block) * 4)
        for (uint32_t tile = 0; tile < count;) {
            const tile_place at = place_of_tile(plan, first + tile);
            const size_t slice = size_t(at.image) * slices + s;
            uint32_t tiles = plan.columns - uint32_t(at.x) / TILE;
            tiles = tiles < count - tile ? tiles : count - tile;
            tiles = tiles < SEGMENT ? tiles : uint32_t(SEGMENT);
            const int groups = int(tiles + TEXELS - 1) / TEXELS;
            const segment_place where = {slice, at.x - TAPS / 2, at.y - TAPS / 2, groups * TEXELS * TILE + TILE};
            const vf squares = from.is_float32 || from.is_half ? transform_columns(from, where, rows)
                                                               : convert_columns(from, where, rows);
            if (__builtin_expect(!all_below(squares, 1e36f), false))
                mark_tiles<TAPS>(from, slice, at, int(tiles), is_marked + tile);
            transform_rows(rows, int(tiles), to + tile * 4, point_step);
            tile += tiles;
        }
}

} // namespace twin
} // namespace
#endif
