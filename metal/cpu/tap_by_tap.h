// An image cell pixel by pixel: every tap of its windows is one multiplication of the pixels of a row.
#ifndef TWIN_TAP_BY_TAP_H
#define TWIN_TAP_BY_TAP_H
#include "multiply.h"
#include "planning.h"

namespace {
namespace twin {

// Some rows of pixels next to each other.
struct patch {
    uint32_t image;
    int x, y, columns, rows;
};

// Rows of all sources that a patch reaches: [row][slice][column][4], zeros outside the image.
inline void gather_rows(const image_plan &plan, const msl_twin_call *call, const patch &of, float *to)
{
    const int columns = of.columns + plan.right - plan.left;
    for (int row = of.y + plan.top; row < of.y + of.rows + plan.bottom; ++row)
        for (uint32_t t = 0; t < plan.term_count; ++t) {
            surface from(call->dispatch->textures[plan.terms[t].texture]);
            from.texture.width = plan.width;
            from.texture.height = plan.height;
            for (uint32_t s = 0; s < plan.terms[t].slices; ++s, to += columns * 4)
                from.copy_row(size_t(of.image) * plan.terms[t].slices + s, of.x + plan.left, row, columns, to);
        }
}

// Adds a term's taps to the sums of a panel: [row][column][lanes].
inline void add_term(const image_plan &plan, const reduction_term &term, const tap_offset *taps, const patch &of,
                     const panel &outputs, const float *weights, const float *values, float *sums)
{
    const int columns = of.columns + plan.right - plan.left;
    const uint32_t slice = term.first_slice + outputs.slice / term.output_slices * term.group_slices;
    const size_t tap_weights = size_t(term.depth) * outputs.lanes();
    for (uint32_t tap = 0; tap < term.taps; ++tap, weights += tap_weights) {
        const tap_offset at = taps[term.first_tap + tap];
        for (int row = 0; row < of.rows; ++row) {
            const int y = of.y + row + at.y;
            if (y < 0 || y >= int(plan.height))
                continue;
            const size_t line = size_t(row + at.y - plan.top) * plan.slices + slice;
            const product p = {
                weights,
                values + (line * columns + (at.x - plan.left)) * 4,
                weights + tap_weights,
                size_t(columns) * 4,
                outputs.lanes(),
                int(term.depth),
                true,
                sums + size_t(row) * of.columns * outputs.lanes(),
            };
            multiply(p, of.columns, outputs.vectors);
        }
    }
}

// Outputs of a patch from the sums of a panel.
template <class Cell>
inline void finish_patch(const Cell &cell, const image_plan &plan, const patch &of, const panel &outputs,
                         const float *sums)
{
    const size_t lanes = outputs.lanes();
    for (int group = 0; group < outputs.groups(Cell::GATES); ++group) {
        auto gates = sums_of_group<Cell::GATES>(plan, outputs, group, sums, LANES, lanes);
        strip at = {0, of.image * cell.params.slices, 0, 0, 0};
        set_slices(at, outputs, group);
        for (int row = 0; row < of.rows; ++row)
            for (int column = 0; column < of.columns; column += TEXELS) {
                const int left = of.columns - column;
                gates.first = (size_t(row) * of.columns + column) * lanes;
                at.index = size_t(of.y + row) * plan.width + of.x + column;
                at.pixels = left < TEXELS ? left : int(TEXELS);
                cell.finish(gates, at);
            }
    }
}

template <class Cell>
void run_patch(const image_plan &plan, const msl_twin_call *call, const patch &of, float *workspace)
{
    const size_t pixels = size_t(of.columns) * of.rows;
    float *sums = workspace, *values = workspace + (pixels + TEXELS) * PANEL;
    const tap_offset *taps = taps_of(call->dispatch);
    gather_rows(plan, call, of, values);
    const Cell cell(*call);
    for (uint32_t index = 0; index < plan.panels; ++index) {
        const panel outputs = panel_at(plan, index, Cell::GATES);
        const float *weights = weights_of(plan, outputs) + size_t(plan.skipped) * outputs.lanes();
        // A strip may be longer than what is left of the last row.
        memset(sums, 0, (pixels + TEXELS) * outputs.lanes() * sizeof *sums);
        for (uint32_t t = 0; t < plan.term_count; ++t) {
            const reduction_term &term = plan.terms[t];
            add_term(plan, term, taps, of, outputs, weights, values, sums);
            weights += size_t(term.depth) * term.taps * outputs.lanes();
        }
        finish_patch(cell, plan, of, outputs, sums);
    }
}

template <class Cell> void run_direct(const image_plan &plan, const msl_twin_call *call, size_t item, float *workspace)
{
    patch of;
    of.x = int(item % plan.columns * plan.block);
    of.y = int(item / plan.columns % plan.rows_of_tiles * plan.block_rows);
    of.image = uint32_t(item / plan.columns / plan.rows_of_tiles);
    of.columns = int(plan.width) - of.x < int(plan.block) ? int(plan.width) - of.x : int(plan.block);
    of.rows = int(plan.height) - of.y < int(plan.block_rows) ? int(plan.height) - of.y : int(plan.block_rows);
    run_patch<Cell>(plan, call, of, workspace);
}

} // namespace twin
} // namespace
#endif
