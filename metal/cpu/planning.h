// From a dispatch of an image cell to a plan: which algorithm, on what weights, in which blocks.
//
// 3 x 3 and 5 x 5 windows go through Winograd's algorithm, everything else is multiplied tap by tap.
#ifndef TWIN_PLANNING_H
#define TWIN_PLANNING_H
#include "cells.h"
#include "weights.h"

namespace {
namespace twin {

// A step of rows in the work space that does not map them all onto one set of the cache.
enum { STAGGER = 16 };
enum { FEW_TILES = 32, MOST_TILES = 64 };     // of a block

// Adds the kernel's terms that this dispatch has, the input last. False: none of our business.
template <class Cell> bool add_terms(image_plan &plan, uint32_t *term_of, uint32_t *all, const msl_twin_call *call)
{
    const mpsrnn_cell_params &p = params_of(call);
    const tap_offset *taps = taps_of(call->dispatch);
    for (int i = 1; i <= Cell::TERMS; ++i) {
        const uint32_t index = i % Cell::TERMS;
        const mpsrnn_term &term = p.terms[index];
        if (term.taps == 0)
            continue;
        if (term.group_source_slices != term.source_slices)
            return false;
        const uint32_t texture = Cell::term(*call, int(index)).texture;
        plan.terms[*all] = {texture, term.source_slices, term.source_slices * 4, term.taps, term.first_tap};
        term_of[(*all)++] = index;
        for (uint32_t t = 0; t < term.taps; ++t) {
            const tap_offset at = taps[term.first_tap + t];
            plan.left = at.x < plan.left ? at.x : plan.left;
            plan.right = at.x > plan.right ? at.x : plan.right;
            plan.top = at.y < plan.top ? at.y : plan.top;
            plan.bottom = at.y > plan.bottom ? at.y : plan.bottom;
        }
    }
    return true;
}

inline algorithm choose_algorithm(const image_plan &plan)
{
    const int reach = -plan.left > plan.right ? -plan.left : plan.right;
    const int reach_y = -plan.top > plan.bottom ? -plan.top : plan.bottom;
    const int farthest = reach > reach_y ? reach : reach_y;
    const int nearest = reach < reach_y ? reach : reach_y;
    if (nearest == 0 || farthest > 2)
        return DIRECT;
    return farthest == 1 ? WINOGRAD_3 : WINOGRAD_5;
}

inline size_t point_count(algorithm how)
{
    return how == WINOGRAD_3 ? 36 : how == WINOGRAD_5 ? 64 : 1;
}

// Derives panels from the kernel's weights, those of the terms without a state included. False: without memory, or because
// the transformed weights are too large for float.
inline bool derive(image_plan &plan, const packing &k)
{
    const mpsrnn_cell_params &p = params_of(k);
    const msl_buffer &weights = k.dispatch->buffers[MPSRNN_BUFFER_WEIGHTS];
    plan.depth = 0;
    size_t direct = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        const bool is_last = t + 1 == plan.term_count;
        plan.terms[t].depth = is_last ? used_depth(k, p.terms[k.term_of[t]]) : plan.terms[t].slices * 4;
        plan.depth += plan.terms[t].depth;
        direct += size_t(plan.terms[t].depth) * plan.terms[t].taps;
    }
    plan.point_weights = size_t(plan.depth) * PANEL;
    plan.panel_weights = plan.how == DIRECT ? direct * PANEL : plan.point_weights * point_count(plan.how);
    // One more: whether they are finite.
    const size_t count = plan.panel_weights * plan.panels;
    void (*const fill[])(void *, const void *) = {pack_direct, pack_winograd<3>, pack_winograd<5>};
    plan.weights = static_cast<const float *>(
        msl_derived(&weights, uint64_t(plan.how) + 1, (count + 1) * sizeof(float), fill[plan.how], &k));
    plan.rows = static_cast<const float *>(
        msl_derived(&k.dispatch->buffers[MPSRNN_BUFFER_CHANNELS], 1,
                    size_t(plan.panels) * MPSRNN_CHANNEL_ROWS * PANEL * sizeof(float), pack_rows, &k));
    return plan.weights && plan.rows && (plan.how == DIRECT || plan.weights[count] == 1.0f);
}

// Leaves out the terms that this step lacks, which all come first.
template <class Cell> void drop_absent_terms(image_plan &plan, const uint32_t *term_of, const msl_twin_call *call)
{
    uint32_t kept = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        const reduction_term term = plan.terms[t];
        if (Cell::term(*call, int(term_of[t])).present) {
            plan.terms[kept++] = term;
            plan.slices += term.slices;
        } else {
            plan.depth -= term.depth;
            plan.skipped_weights += size_t(term.depth) * (plan.how == DIRECT ? term.taps : 1) * PANEL;
        }
    }
    plan.term_count = kept;
}

// Shares the image out: enough blocks for the threads, each as large as the cache likes.
inline void share_out(image_plan &plan, msl_plan *out, const mpsrnn_cell_params &p, unsigned threads)
{
    const size_t points = point_count(plan.how);
    const uint32_t most = plan.panel_weights * plan.panels > (size_t(2) << 20) ? MOST_TILES : FEW_TILES;
    if (plan.how == DIRECT) {
        const bool is_pointwise = !(plan.left | plan.right | plan.top | plan.bottom);
        plan.width = is_pointwise ? p.width * p.height : p.width;
        plan.height = is_pointwise ? 1 : p.height;
        const uint32_t blocks = (plan.width + 47) / 48;
        plan.block = (plan.width + blocks - 1) / blocks;
        plan.columns = blocks;
        out->items = size_t(p.images) * plan.height * blocks;
        const size_t patch = size_t(plan.bottom - plan.top + 1) * plan.slices * (plan.block + plan.right - plan.left) * 4;
        out->workspace = (patch + size_t(plan.block) * PANEL + STAGGER) * sizeof(float);
        return;
    }
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
    out->workspace = points * ((size_t(plan.slices) * 4 + PANEL) * plan.block + 2 * STAGGER) * sizeof(float);
}

template <class Cell, bool is_half> bool make_plan_for(algorithm how, msl_plan *out, const msl_twin_call *call)
{
    const mpsrnn_cell_params &p = params_of(call);
    image_plan plan = {};
    uint32_t term_of[MPSRNN_MAX_TERMS];
    if (!add_terms<Cell>(plan, term_of, &plan.term_count, call))
        return false;
    plan.how = how == DIRECT ? DIRECT : choose_algorithm(plan);
    const uint32_t channels = VECTORS / Cell::GATES * LANES;
    plan.panels = (p.channels + channels - 1) / channels;
    const packing k = {call->dispatch, &plan, term_of, Cell::GATES, is_half};
    if (!derive(plan, k))
        return false;
    drop_absent_terms<Cell>(plan, term_of, call);
    share_out(plan, out, p, call->threads);
    memcpy(out->words, &plan, sizeof plan);
    return true;
}

template <class Cell, bool is_half> bool make_plan(msl_plan *out, const msl_twin_call *call)
{
    return make_plan_for<Cell, is_half>(WINOGRAD_5, out, call) || make_plan_for<Cell, is_half>(DIRECT, out, call);
}

} // namespace twin
} // namespace
#endif
