// From a dispatch of an image cell to a plan: which algorithm, on what weights, in which blocks.
//
// Windows within 3 x 3 and 5 x 5, also dilated ones, go through Winograd's algorithm in tiles of 4 x 4 pixels: 36 or 64
// multiplications of a tile in place of 16 for every tap. Windows of one row or column, wider ones, and images so small
// that their few pixels are cheaper than whole tiles are multiplied tap by tap. docs/performance.md has the errors.
#ifndef TWIN_PLANNING_H
#define TWIN_PLANNING_H
#include "cells.h"
#include "weights.h"

namespace {
namespace twin {

// A step of rows in the work space that does not map them all onto one set of the cache.
enum { STAGGER = 16 };
// Tiles of a block: as many as the second-level cache likes, and never more than the work space shall hold.
enum { FEW_TILES = 16, MOST_TILES = 64 };
enum { MOST_PIXELS = 48 };      // of a block that is multiplied tap by tap
constexpr size_t MOST_WORKSPACE = 1536 << 10;

TWIN_INLINE uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// Adds the kernel's terms, the input last.
template <class Cell> void add_terms(image_plan &plan, uint32_t *term_of, const msl_twin_call *call)
{
    const mpsrnn_cell_params &p = params_of(call);
    const tap_offset *taps = taps_of(call->dispatch);
    plan.unit_slices = p.slices;
    plan.is_merged = true;
    for (int i = 1; i <= Cell::TERMS; ++i) {
        const uint32_t index = i % Cell::TERMS;
        const mpsrnn_term &from = p.terms[index];
        if (from.taps == 0)
            continue;
        reduction_term &term = plan.terms[plan.term_count];
        term.texture = Cell::term(*call, int(index)).texture;
        term.slices = from.source_slices;
        term.group_slices = from.group_source_slices;
        term.output_slices = from.group_output_slices;
        term.taps = from.taps;
        term.first_tap = from.first_tap;
        plan.is_merged = plan.is_merged && from.group_source_slices == from.source_slices;
        plan.unit_slices = common_divisor(plan.unit_slices, from.group_output_slices);
        // Only the last slice of the last term may be cut: the reduction goes on slice by slice.
        const uint32_t channels = term.texture == MPSRNN_TEXTURE_SOURCE ? p.input_channels : p.channels;
        const bool is_whole = index != 0 || from.group_source_slices != from.source_slices;
        term.depth = is_whole ? from.group_source_slices * 4 : channels;
        term_of[plan.term_count++] = index;
        for (uint32_t t = 0; t < from.taps; ++t) {
            const tap_offset at = taps[from.first_tap + t];
            plan.left = at.x < plan.left ? at.x : plan.left;
            plan.right = at.x > plan.right ? at.x : plan.right;
            plan.top = at.y < plan.top ? at.y : plan.top;
            plan.bottom = at.y > plan.bottom ? at.y : plan.bottom;
        }
    }
}

inline algorithm choose_algorithm(const image_plan &plan, const mpsrnn_cell_params &p)
{
    const int reach = -plan.left > plan.right ? -plan.left : plan.right;
    const int reach_y = -plan.top > plan.bottom ? -plan.top : plan.bottom;
    const int farthest = reach > reach_y ? reach : reach_y;
    const int nearest = reach < reach_y ? reach : reach_y;
    if (nearest == 0 || farthest > 2)
        return DIRECT;
    const algorithm tiled = farthest == 1 ? WINOGRAD_3 : WINOGRAD_5;
    uint32_t taps = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t)
        taps = plan.terms[t].taps > taps ? plan.terms[t].taps : taps;
    const size_t tiles = size_t((p.width + TILE - 1) / TILE) * ((p.height + TILE - 1) / TILE);
    // The transforms cost about a quarter of the multiplications.
    return size_t(p.width) * p.height * taps * 4 < tiles * point_count(tiled) * 5 ? DIRECT : tiled;
}

template <class Cell> void lay_panels(image_plan &plan, uint32_t slices)
{
    for (uint32_t slice = 0; slice < plan.unit_slices; ++plan.unit_panels) {
        const panel next = next_panel(plan.unit_slices - slice, Cell::GATES);
        slice += next.slices;
        plan.unit_vectors += next.vectors;
    }
    const uint32_t units = slices / plan.unit_slices;
    plan.panels = units * plan.unit_panels;
    plan.total_vectors = units * plan.unit_vectors;
}

// Derives panels from the kernel's weights, those of the terms without a state included. False: without memory, or
// because the transformed weights are too large for float.
inline bool derive(image_plan &plan, const packing &k)
{
    const msl_dispatch &dispatch = *k.dispatch;
    // Vectors of a panel's gates are loaded whole, also where they have fewer lanes. One more: whether all are finite.
    const size_t count = size_t(plan.total_vectors) * LANES * plan.depth * point_count(plan.how);
    void (*const fill[])(void *, const void *) = {pack_direct, pack_winograd<3>, pack_winograd<5>};
    plan.weights = static_cast<const float *>(msl_derived(&dispatch.buffers[MPSRNN_BUFFER_WEIGHTS],
                                                          uint64_t(plan.how) + 1, (count + 1) * sizeof(float),
                                                          fill[plan.how], &k));
    const size_t rows = (size_t(plan.total_vectors) * MPSRNN_CHANNEL_ROWS + 1) * LANES;
    plan.rows = static_cast<const float *>(msl_derived(&dispatch.buffers[MPSRNN_BUFFER_CHANNELS], 1,
                                                       rows * sizeof(float), pack_rows, &k));
    return plan.weights && plan.rows && (plan.how == DIRECT || plan.weights[count] == 1.0f);
}

// Leaves out the terms that this step lacks, which all come first.
template <class Cell> void drop_absent_terms(image_plan &plan, const uint32_t *term_of, const msl_twin_call *call)
{
    uint32_t kept = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        reduction_term term = plan.terms[t];
        if (Cell::term(*call, int(term_of[t])).present) {
            term.first_slice = plan.slices;
            plan.terms[kept++] = term;
            plan.slices += term.slices;
        } else {
            plan.skipped += term.depth * (plan.how == DIRECT ? term.taps : 1);
        }
    }
    plan.term_count = kept;
    plan.is_merged = plan.is_merged || kept == 0;
}

// Shares rows of pixels out.
inline void share_pixels(image_plan &plan, msl_plan *out, const mpsrnn_cell_params &p)
{
    const bool is_pointwise = !(plan.left | plan.right | plan.top | plan.bottom);
    plan.width = is_pointwise ? p.width * p.height : p.width;
    plan.height = is_pointwise ? 1 : p.height;
    plan.columns = (plan.width + MOST_PIXELS - 1) / MOST_PIXELS;
    plan.block = (plan.width + plan.columns - 1) / plan.columns;
    plan.block_rows = MOST_PIXELS / plan.block;
    plan.block_rows = plan.block_rows < plan.height ? plan.block_rows : plan.height;
    plan.rows_of_tiles = (plan.height + plan.block_rows - 1) / plan.block_rows;
    out->items = size_t(p.images) * plan.rows_of_tiles * plan.columns;
    const size_t columns = plan.block + plan.right - plan.left;
    const size_t values = (plan.block_rows + plan.bottom - plan.top) * plan.slices * columns * 4;
    out->workspace = (values + (size_t(plan.block) * plan.block_rows + TEXELS) * PANEL + LANES) * sizeof(float);
}

// Shares tiles out: enough blocks for the threads, each as large as the cache likes.
inline void share_tiles(image_plan &plan, msl_plan *out, const mpsrnn_cell_params &p, unsigned threads)
{
    const size_t points = point_count(plan.how);
    const bool has_many_weights = size_t(plan.total_vectors) * LANES * plan.depth * points > (size_t(2) << 20);
    const size_t tile = points * (size_t(plan.slices) * 4 + PANEL) * sizeof(float);
    uint32_t most = has_many_weights ? MOST_TILES : FEW_TILES;
    most = most * tile <= MOST_WORKSPACE ? most : uint32_t(MOST_WORKSPACE / tile / TEXELS) * TEXELS;
    most = most >= TEXELS ? most : uint32_t(TEXELS);
    plan.width = p.width;
    plan.height = p.height;
    plan.columns = (p.width + TILE - 1) / TILE;
    plan.rows_of_tiles = (p.height + TILE - 1) / TILE;
    plan.count = p.images * plan.columns * plan.rows_of_tiles;
    uint32_t blocks = (plan.count + most - 1) / most;
    if (blocks < threads * 4)
        blocks = (blocks + threads - 1) / threads * threads;
    plan.block = (plan.count + blocks - 1) / blocks;
    plan.block = (plan.block + TEXELS - 1) / TEXELS * TEXELS;
    out->items = (plan.count + plan.block - 1) / plan.block;
    out->workspace = plan.block * tile + (points * STAGGER + plan.block * STAGGER + 2 * LANES) * sizeof(float);
}

template <class Cell> bool make_plan_for(algorithm how, bool is_half, msl_plan *out, const msl_twin_call *call)
{
    const mpsrnn_cell_params &p = params_of(call);
    image_plan plan = {};
    plan.is_half = is_half;
    uint32_t term_of[MPSRNN_MAX_TERMS];
    add_terms<Cell>(plan, term_of, call);
    plan.how = how == DIRECT ? DIRECT : choose_algorithm(plan, p);
    for (uint32_t t = 0; t < plan.term_count; ++t)
        plan.depth += plan.terms[t].depth * (plan.how == DIRECT ? plan.terms[t].taps : 1);
    lay_panels<Cell>(plan, p.slices);
    if (!derive(plan, {call->dispatch, &plan, term_of, Cell::GATES}))
        return false;
    drop_absent_terms<Cell>(plan, term_of, call);
    if (plan.how == DIRECT)
        share_pixels(plan, out, p);
    else
        share_tiles(plan, out, p, call->threads);
    memcpy(out->words, &plan, sizeof plan);
    return true;
}

template <class Cell, bool is_half> bool make_plan(msl_plan *out, const msl_twin_call *call)
{
    return make_plan_for<Cell>(WINOGRAD_5, is_half, out, call) || make_plan_for<Cell>(DIRECT, is_half, out, call);
}

} // namespace twin
} // namespace
#endif
