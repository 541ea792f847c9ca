// An image cell by Winograd's algorithm: its convolutions as one reduction, its gates finished while their sums are in the
// cache.
#ifndef TWIN_TILE_BY_TILE_H
#define TWIN_TILE_BY_TILE_H
#include "tap_by_tap.h"

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

// Copies the window of a tile, zeros outside the image.
template <int SIZE>
inline void gather(const surface &from, int x, int y, uint32_t slice, float *to)
{
    const int width = int(from.texture.width), height = int(from.texture.height);
    for (int j = 0; j < SIZE; ++j)
        for (int i = 0; i < SIZE; ++i) {
            const bool is_inside = x + i >= 0 && x + i < width && y + j >= 0 && y + j < height;
            const f4 value = is_inside ? from.read(slice * from.plane + size_t(y + j) * width + (x + i)) : f4{};
            memcpy(to + (j * SIZE + i) * 4, &value, sizeof value);
        }
}

// Returns the sum of the squares of what it has read, so that the caller sees what the transform cannot take.
template <int TAPS>
TWIN_INLINE vf transform_windows(const float *const *windows, size_t row, float *to, size_t point_step)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    vf half_done[SIZE][SIZE], squares = {};
    for (int y = 0; y < SIZE; ++y) {
        vf d[SIZE];
#pragma GCC unroll 8
        for (int x = 0; x < SIZE; ++x)
            d[x] = join_at(windows, y * row + x * 4);
#pragma GCC unroll 8
        for (int x = 0; x < SIZE; ++x)
            squares += d[x] * d[x];
        winograd<TAPS>::input(d, half_done[y]);
    }
    for (int x = 0; x < SIZE; ++x) {
        vf d[SIZE], o[SIZE];
#pragma GCC unroll 8
        for (int y = 0; y < SIZE; ++y)
            d[y] = half_done[y][x];
        winograd<TAPS>::input(d, o);
#pragma GCC unroll 8
        for (int y = 0; y < SIZE; ++y)
            store(to + (y * SIZE + x) * point_step, o[y]);
    }
    return squares;
}

// Transforms all slices of a source for the tiles of a block: [point][slice][tile][4]. Marks tiles that see a NaN, an
// infinity or a number beyond 1e18: those would reach all pixels of the tile, or overflow where the kernel does not.
template <int TAPS>
inline void transform_term(const image_plan &plan, const surface &from, uint32_t slices, uint32_t first, float *to,
                           size_t point_step, bool *is_marked)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    const int width = int(from.texture.width), height = int(from.texture.height);
    alignas(64) float copies[TEXELS][SIZE * SIZE * 4];
    for (uint32_t t = 0; t < plan.block; t += TEXELS) {
        vf squares = {};
        tile_place places[TEXELS];
        bool is_inside = from.is_float32;
        for (int i = 0; i < TEXELS; ++i) {
            const uint32_t tile = first + t + i < plan.count ? first + t + i : plan.count - 1;
            tile_place &at = places[i];
            at = place_of_tile(plan, tile);
            at.x -= TAPS / 2;
            at.y -= TAPS / 2;
            is_inside = is_inside && at.x >= 0 && at.y >= 0 && at.x + SIZE <= width && at.y + SIZE <= height;
        }
        for (uint32_t s = 0; s < slices; ++s) {
            const float *windows[TEXELS];
            for (int i = 0; i < TEXELS; ++i) {
                const uint32_t slice = places[i].image * slices + s;
                windows[i] = copies[i];
                if (is_inside)
                    windows[i] = from.floats(slice * from.plane + size_t(places[i].y) * width + places[i].x);
                else
                    gather<SIZE>(from, places[i].x, places[i].y, slice, copies[i]);
            }
            squares += transform_windows<TAPS>(windows, size_t(is_inside ? width : SIZE) * 4,
                                               to + (size_t(s) * plan.block + t) * 4, point_step);
        }
        for (int i = 0; i < LANES; ++i)
            is_marked[t + i / 4] |= !(squares[i] < 1e36f);
    }
}

// The sums of one panel for a tile's pixels: [vector][pixel].
template <int TAPS> TWIN_INLINE void restore_tile(const float *products, size_t point_step, vf (*to)[TILE * TILE])
{
    enum { SIZE = winograd<TAPS>::SIZE };
    for (int v = 0; v < VECTORS; ++v) {
        vf half_done[TILE][SIZE];
        for (int x = 0; x < SIZE; ++x) {
            vf w[SIZE], o[TILE];
#pragma GCC unroll 8
            for (int y = 0; y < SIZE; ++y)
                w[y] = load(products + (y * SIZE + x) * point_step + v * LANES);
            winograd<TAPS>::output(w, o);
#pragma GCC unroll 4
            for (int y = 0; y < TILE; ++y)
                half_done[y][x] = o[y];
        }
        for (int y = 0; y < TILE; ++y)
            winograd<TAPS>::output(half_done[y], to[v] + y * TILE);
    }
}

template <class Cell, int TAPS>
inline void finish_tile(const Cell &cell, const image_plan &plan, uint32_t tile, uint32_t panel, const float *products,
                        size_t point_step)
{
    vf sums[VECTORS][TILE * TILE];
    restore_tile<TAPS>(products, point_step, sums);
    const tile_place at = place_of_tile(plan, tile);
    for (int y = 0; y < TILE && at.y + y < int(plan.height); ++y)
        for (int x = 0; x < TILE && at.x + x < int(plan.width); ++x) {
            const pixel where = {size_t(at.y + y) * plan.width + at.x + x, 0, at.image * cell.params.slices};
            vf gates[VECTORS];
            for (int v = 0; v < VECTORS; ++v)
                gates[v] = sums[v][y * TILE + x];
            finish_pixel(cell, plan, where, panel, gates);
        }
}

// The pixels of a tile one by one, for numbers that Winograd's algorithm cannot take.
template <class Cell, bool is_half>
void run_tile_direct(const image_plan &plan, const msl_twin_call *call, uint32_t tile, float *workspace)
{
    msl_plan made;
    if (!make_plan_for<Cell, is_half>(DIRECT, &made, call)) {
        report(call, "no memory for weights that are not transformed");
        return;
    }
    const tile_place at = place_of_tile(plan, tile);
    const int columns = int(plan.width) - at.x < TILE ? int(plan.width) - at.x : TILE;
    for (int y = at.y; y < at.y + TILE && y < int(plan.height); ++y)
        run_pixels<Cell>(plan_of(&made), call, at.image, at.x, y, columns, workspace);
}

template <class Cell, bool is_half, int TAPS>
void run_winograd(const image_plan &plan, const msl_twin_call *call, size_t item, float *workspace)
{
    enum { SIZE = winograd<TAPS>::SIZE, POINTS = SIZE * SIZE };
    const uint32_t first = uint32_t(item) * plan.block;
    const uint32_t count = plan.count - first < plan.block ? plan.count - first : plan.block;
    const size_t value_step = size_t(plan.slices) * plan.block * 4 + STAGGER;
    const size_t product_step = size_t(plan.block) * PANEL + STAGGER;
    float *values = workspace, *products = workspace + POINTS * value_step;
    bool is_marked[MOST_TILES] = {};
    uint32_t slice = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        const surface from(call->dispatch->textures[plan.terms[t].texture]);
        float *to = values + size_t(slice) * plan.block * 4;
        transform_term<TAPS>(plan, from, plan.terms[t].slices, first, to, value_step, is_marked);
        slice += plan.terms[t].slices;
    }
    const Cell cell(*call);
    for (uint32_t panel = 0; panel < plan.panels; ++panel) {
        const float *weights = plan.weights + panel * plan.panel_weights + plan.skipped_weights;
        for (int point = 0; point < POINTS; ++point) {
            const product p = {
                weights + point * plan.point_weights,
                values + point * value_step,
                weights + (point + 1) * plan.point_weights,
                size_t(plan.block) * 4,
                PANEL,
                int(plan.depth),
                false,
                products + point * product_step,
            };
            multiply(p, int(count));
        }
        for (uint32_t t = 0; t < count; ++t)
            if (!is_marked[t])
                finish_tile<Cell, TAPS>(cell, plan, first + t, panel, products + size_t(t) * PANEL, product_step);
    }
    for (uint32_t t = 0; t < count; ++t)
        if (is_marked[t])
            run_tile_direct<Cell, is_half>(plan, call, first + t, workspace);
}

} // namespace twin
} // namespace
#endif
