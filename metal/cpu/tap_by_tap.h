// An image cell pixel by pixel: every tap of its windows is one multiplication of the pixels of a row.
#ifndef TWIN_TAP_BY_TAP_H
#define TWIN_TAP_BY_TAP_H
#include "multiply.h"
#include "planning.h"

namespace {
namespace twin {

// Biases, and in unit-transform mode the input itself, for every gate; then the cell.
template <class Cell>
TWIN_INLINE void finish_pixel(const Cell &cell, const image_plan &plan, const pixel &at, uint32_t panel, vf *sums)
{
    enum { GROUPS = VECTORS / Cell::GATES };
    const float *rows = plan.rows + size_t(panel) * MPSRNN_CHANNEL_ROWS * PANEL;
#pragma GCC unroll 4
    for (int group = 0; group < GROUPS; ++group) {
        const uint32_t slice = (panel * GROUPS + group) * TEXELS;
        if (slice >= cell.params.slices)
            return;
        vf input = {};
        if (cell.constant(MPSRNN_CONSTANT_UNIT_TRANSFORM) && Cell::TERMS > 1)
            input = cell.read(cell.texture(MPSRNN_TEXTURE_SOURCE), at, slice);
        vf gates[Cell::GATES];
#pragma GCC unroll 4
        for (int g = 0; g < Cell::GATES; ++g) {
            const int v = g * GROUPS + group;
            gates[g] = sums[v] + (load(rows + MPSRNN_CHANNEL_BIAS * PANEL + v * LANES) + input);
        }
        cell.finish(at, slice, gates, rows + group * LANES);
    }
}

// Rows of all sources that a block of pixels reaches: [row][slice][column][4], zeros outside the image.
inline void gather_rows(const image_plan &plan, const msl_twin_call *call, uint32_t image, int x, int y, int columns,
                        float *to)
{
    for (int row = plan.top; row <= plan.bottom; ++row)
        for (uint32_t t = 0; t < plan.term_count; ++t) {
            const surface from(call->dispatch->textures[plan.terms[t].texture]);
            for (uint32_t s = 0; s < plan.terms[t].slices; ++s) {
                const size_t line = (size_t(image) * plan.terms[t].slices + s) * from.plane + size_t(y + row) * plan.width;
                for (int i = 0; i < columns; ++i, to += 4) {
                    const int column = x + plan.left + i;
                    const bool is_inside =
                        y + row >= 0 && y + row < int(plan.height) && column >= 0 && column < int(plan.width);
                    const f4 value = is_inside ? from.read(line + column) : f4{};
                    memcpy(to, &value, sizeof value);
                }
            }
        }
}

// `count` neighbouring pixels of a row.
template <class Cell>
void run_pixels(const image_plan &plan, const msl_twin_call *call, uint32_t image, int x, int y, int count,
                float *workspace)
{
    const int columns = count + plan.right - plan.left;
    float *sums = workspace, *values = workspace + size_t(count) * PANEL;
    const tap_offset *taps = taps_of(call->dispatch);
    gather_rows(plan, call, image, x, y, columns, values);
    const Cell cell(*call);
    for (uint32_t panel = 0; panel < plan.panels; ++panel) {
        const float *weights = plan.weights + panel * plan.panel_weights + plan.skipped_weights;
        uint32_t slice = 0;
        bool adds = false;
        for (uint32_t t = 0; t < plan.term_count; ++t) {
            const reduction_term &term = plan.terms[t];
            for (uint32_t tap = 0; tap < term.taps; ++tap) {
                const tap_offset at = taps[term.first_tap + tap];
                const size_t row = size_t(at.y - plan.top) * plan.slices + slice;
                const product p = {
                    weights, values + (row * columns + (at.x - plan.left)) * 4, weights, size_t(columns) * 4, PANEL,
                    int(term.depth), adds, sums,
                };
                multiply(p, count);
                weights += size_t(term.depth) * PANEL;
                adds = true;
            }
            slice += term.slices;
        }
        if (!adds)
            memset(sums, 0, size_t(count) * PANEL * sizeof *sums);
        for (int i = 0; i < count; ++i) {
            const pixel where = {size_t(y) * plan.width + x + i, 0, image * cell.params.slices};
            vf gates[VECTORS];
            for (int v = 0; v < VECTORS; ++v)
                gates[v] = load(sums + size_t(i) * PANEL + v * LANES);
            finish_pixel(cell, plan, where, panel, gates);
        }
    }
}

template <class Cell> void run_direct(const image_plan &plan, const msl_twin_call *call, size_t item, float *workspace)
{
    const int x = int(item % plan.columns * plan.block);
    const int y = int(item / plan.columns % plan.height);
    const int count = int(plan.width) - x < int(plan.block) ? int(plan.width) - x : int(plan.block);
    run_pixels<Cell>(plan, call, uint32_t(item / plan.columns / plan.height), x, y, count, workspace);
}

} // namespace twin
} // namespace
#endif
