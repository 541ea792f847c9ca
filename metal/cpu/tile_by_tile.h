// An image cell by Winograd's algorithm: its convolutions as one reduction, its gates finished while their sums are in
// the cache.
#ifndef TWIN_TILE_BY_TILE_H
#define TWIN_TILE_BY_TILE_H
#include "tap_by_tap.h"
#include "transform.h"

namespace {
namespace twin {

// Step from a tile's products to the next one's: [tile][point][lane].
TWIN_INLINE size_t product_step(const image_plan &plan, const panel &outputs)
{
    return point_count(plan.how) * outputs.lanes() + STAGGER;
}

// The products of all points of a block's tiles for one panel.
template <class Cell>
inline void multiply_points(const image_plan &plan, const panel &outputs, int count, const float *values,
                            size_t value_step, float *products)
{
    const size_t lanes = outputs.lanes();
    const float *weights = weights_of(plan, outputs) + size_t(plan.skipped) * lanes;
    const uint32_t runs = plan.is_merged ? 1 : plan.term_count;
    for (size_t point = 0; point < point_count(plan.how); ++point) {
        const float *w = weights + point * plan.depth * lanes;
        for (uint32_t run = 0; run < runs; ++run) {
            const reduction_term &term = plan.terms[run];
            const uint32_t group = outputs.slice / term.output_slices;
            const uint32_t slice = plan.is_merged ? 0 : term.first_slice + group * term.group_slices;
            const uint32_t depth = plan.is_merged ? plan.depth - plan.skipped : term.depth;
            const product p = {
                w,
                values + point * value_step + size_t(slice) * plan.block * 4,
                weights + (point + 1) * plan.depth * lanes,
                size_t(plan.block) * 4,
                product_step(plan, outputs),
                int(depth),
                run > 0,
                products + point * lanes,
            };
            multiply(p, count, outputs.vectors);
            w += depth * lanes;
        }
    }
}

// The sums of a tile's pixels from its products: [vector][pixel].
template <int TAPS> TWIN_INLINE void restore_tile(const float *products, int vectors, vf (*to)[TILE * TILE])
{
    enum { SIZE = winograd<TAPS>::SIZE };
    const size_t lanes = size_t(vectors) * LANES;
    for (int v = 0; v < vectors; ++v) {
        vf half_done[TILE][SIZE];
#pragma GCC unroll 8
        for (int x = 0; x < SIZE; ++x) {
            vf w[SIZE], o[TILE];
#pragma GCC unroll 8
            for (int y = 0; y < SIZE; ++y)
                w[y] = load(products + (y * SIZE + x) * lanes + v * LANES);
            winograd<TAPS>::output(w, o);
#pragma GCC unroll 4
            for (int y = 0; y < TILE; ++y)
                half_done[y][x] = o[y];
        }
#pragma GCC unroll 4
        for (int y = 0; y < TILE; ++y)
            winograd<TAPS>::output(half_done[y], to[v] + y * TILE);
    }
}

// Announces row y of a tile that will be finished soon.
template <class Cell>
TWIN_INLINE void fetch_row(const Cell &cell, const image_plan &plan, const tile_place &at, int y, const panel &outputs,
                           int group)
{
    strip where = {size_t(at.y + y) * plan.width + at.x, at.image * cell.params.slices, 0, 0, 0};
    set_slices(where, outputs, group);
    if (at.y + y < int(plan.height))
        cell.fetch(where);
}

template <class Cell>
inline void fetch_tile(const Cell &cell, const image_plan &plan, uint32_t tile, const panel &outputs)
{
    const tile_place at = place_of_tile(plan, tile);
    for (int group = 0; group < outputs.groups(Cell::GATES); ++group)
        for (int y = 0; y < TILE; ++y)
            fetch_row(cell, plan, at, y, outputs, group);
}

template <class Cell, int TAPS>
inline void finish_tile(const Cell &cell, const image_plan &plan, uint32_t tile, uint32_t next, const panel &outputs,
                        const float *products)
{
    vf sums[VECTORS + 1][TILE * TILE];      // one more: vectors of narrow panels are read beyond their end
    restore_tile<TAPS>(products, int(outputs.vectors), sums);
    if (outputs.width < LANES)
        sums[outputs.vectors][0] = vf{};
    const tile_place at = place_of_tile(plan, tile), after = place_of_tile(plan, next);
    const int rows = int(plan.height) - at.y < TILE ? int(plan.height) - at.y : int(TILE);
    const int columns = int(plan.width) - at.x < TILE ? int(plan.width) - at.x : int(TILE);
    for (int group = 0; group < outputs.groups(Cell::GATES); ++group) {
        const float *first = reinterpret_cast<const float *>(sums);
        auto gates = sums_of_group<Cell::GATES>(plan, outputs, group, first, TILE * TILE * LANES, LANES);
        strip where = {0, at.image * cell.params.slices, 0, 0, 0};
        set_slices(where, outputs, group);
        for (int y = 0; y < rows; ++y) {
            // All at once would be waited for.
            fetch_row(cell, plan, after, y, outputs, group);
            for (int x = 0; x < columns; x += TEXELS) {
                gates.first = size_t(y * TILE + x) * LANES;
                where.index = size_t(at.y + y) * plan.width + at.x + x;
                where.pixels = columns - x < TEXELS ? columns - x : int(TEXELS);
                cell.finish(gates, where);
            }
        }
    }
}

// The pixels of a tile one by one, for numbers that Winograd's algorithm cannot take.
template <class Cell>
__attribute__((noinline)) void run_tile_direct(const image_plan &plan, const msl_twin_call *call, uint32_t tile,
                                               float *workspace)
{
    msl_plan made;
    if (!make_plan_for<Cell>(DIRECT, plan.is_half, &made, call)) {
        report(call, "no memory for weights that are not transformed");
        return;
    }
    const tile_place at = place_of_tile(plan, tile);
    const int columns = int(plan.width) - at.x < TILE ? int(plan.width) - at.x : int(TILE);
    for (int y = at.y; y < at.y + TILE && y < int(plan.height); ++y)
        run_patch<Cell>(plan_of(&made), call, {at.image, at.x, y, columns, 1}, workspace);
}

template <class Cell, int TAPS>
void run_winograd(const image_plan &plan, const msl_twin_call *call, size_t item, float *workspace)
{
    enum { SIZE = winograd<TAPS>::SIZE, POINTS = SIZE * SIZE };
    const uint32_t first = uint32_t(item) * plan.block;
    const uint32_t count = plan.count - first < plan.block ? plan.count - first : plan.block;
    const size_t value_step = size_t(plan.slices) * plan.block * 4 + STAGGER;
    float *values = workspace, *products = workspace + POINTS * value_step;
    bool is_marked[MOST_TILES] = {};
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        const surface from(call->dispatch->textures[plan.terms[t].texture]);
        float *to = values + size_t(plan.terms[t].first_slice) * plan.block * 4;
        transform_term<TAPS>(plan, from, plan.terms[t].slices, first, count, to, value_step, is_marked);
    }
    const Cell cell(*call);
    for (uint32_t index = 0; index < plan.panels; ++index) {
        const panel outputs = panel_at(plan, index, Cell::GATES);
        fetch_tile(cell, plan, first, outputs);
        multiply_points<Cell>(plan, outputs, int(count), values, value_step, products);
        for (uint32_t t = 0; t < count; ++t) {
            const uint32_t tile = first + t, next = t + 1 < count ? tile + 1 : tile;
            if (!is_marked[t])
                finish_tile<Cell, TAPS>(cell, plan, tile, next, outputs, products + t * product_step(plan, outputs));
        }
    }
    for (uint32_t t = 0; t < count; ++t)
        if (is_marked[t])
            run_tile_direct<Cell>(plan, call, first + t, workspace);
}

} // namespace twin
} // namespace
#endif
