// From a matrix kernel's weights (params.h) to panels.
#ifndef TWIN_MATRIX_WEIGHTS_H
#define TWIN_MATRIX_WEIGHTS_H
#include "matrix_bfloat.h"

namespace {
namespace twin {

struct matrix_packing {
    const msl_twin_call *call;
    const matrix_stage *stage;
    int index;                  // of the stage
};

// Where output (channel, gate) lies: panel * PANEL + lane.
TWIN_INLINE size_t matrix_place_of(const matrix_stage &stage, uint32_t channel, uint32_t gate)
{
    const uint32_t panel = channel / stage.panel_channels;
    return size_t(panel) * PANEL + gate * channels_of(stage, panel) + channel % stage.panel_channels;
}

TWIN_INLINE void copy_four(half_bits *to, const half_bits *from) { memcpy(to, from, 4 * sizeof *to); }
TWIN_INLINE void copy_four(float *to, const float *from) { memcpy(to, from, 4 * sizeof *to); }

TWIN_INLINE void copy_four(float *to, const half_bits *from)
{
    const f4 four = load_four(from);
    memcpy(to, &four, sizeof four);
}

// Four weights of one input into a panel [depth][PANEL].
template <class T, class W> TWIN_INLINE void put_four(W *panel, uint32_t input, size_t place, const T *from)
{
    copy_four(panel + size_t(input) * PANEL + place, from);
}

// One panel of one term from weights of type T. Channels that do not exist stay as they are.
template <class T, class W>
void pack_matrix_panel(W *to, const matrix_packing &k, const matrix_term &term, uint32_t panel)
{
    const mpsrnn_cell_params &p = matrix_params_of(k.call, k.index);
    const mpsrnn_term &kernel_term = p.terms[term.index];
    const T *from = static_cast<const T *>(
        k.call->dispatch->buffers[matrix_bindings_of(k.index).weights].contents);
    const uint32_t gates = k.stage->gates, channels = k.stage->panel_channels;
    const uint32_t first = panel * channels / 4, end = first + channels / 4, last = end < p.slices ? end : p.slices;
    for (uint32_t slice = first; slice < last; ++slice) {
        const size_t unit = size_t(slice) * kernel_term.group_source_slices * 4 * gates + kernel_term.first_weight;
        const T *units = from + unit * 4;
        for (uint32_t input = 0; input < term.depth; ++input)
            for (uint32_t gate = 0; gate < gates; ++gate, units += 4)
                put_four(to, input, matrix_place_of(*k.stage, slice * 4, gate) % PANEL, units);
    }
}

template <class T, class W> void pack_matrix_panels(W *to, const matrix_packing &k, uint32_t begin, uint32_t end)
{
    const matrix_term *const terms[] = {&k.stage->input, &k.stage->terms[0], &k.stage->terms[1]};
    for (const matrix_term *term : terms)
        for (uint32_t panel = begin; panel < end && term->depth > 0; ++panel) {
            const size_t size = size_t(term->depth) * PANEL;
            pack_matrix_panel<T>(to + term->first + panel * size, k, *term, panel);
        }
}

template <class T, class W> void derive_matrix_panels(void *to, const void *context)
{
    const matrix_packing &k = *static_cast<const matrix_packing *>(context);
    pack_matrix_panels<T>(static_cast<W *>(to), k, 0, k.stage->panels);
}

// [panel][row][PANEL] of the per-channel array.
inline void pack_matrix_rows(float *to, const matrix_packing &k, uint32_t begin, uint32_t end)
{
    const mpsrnn_cell_params &p = matrix_params_of(k.call, k.index);
    const float *from = static_cast<const float *>(
        k.call->dispatch->buffers[matrix_bindings_of(k.index).channels].contents);
    const uint32_t gates = k.stage->gates, slices = k.stage->panel_channels / 4;
    for (uint32_t slice = begin * slices; slice < end * slices && slice < p.slices; ++slice)
        for (uint32_t gate = 0; gate < gates; ++gate) {
            const size_t place = matrix_place_of(*k.stage, slice * 4, gate);
            for (int row = 0; row < MPSRNN_CHANNEL_ROWS; ++row)
                copy_four(to + (place / PANEL * MPSRNN_CHANNEL_ROWS + row) * PANEL + place % PANEL,
                          from + ((size_t(slice) * gates + gate) * MPSRNN_CHANNEL_ROWS + row) * 4);
        }
}

inline void derive_matrix_rows(void *to, const void *context)
{
    const matrix_packing &k = *static_cast<const matrix_packing *>(context);
    pack_matrix_rows(static_cast<float *>(to), k, 0, k.stage->panels);
}

// Elements of a stage's panels.
inline size_t matrix_weight_count(const matrix_stage &stage)
{
    const size_t depth = size_t(stage.input.depth) + stage.terms[0].depth + stage.terms[1].depth;
    return depth * stage.panels * PANEL;
}

inline size_t matrix_row_count(const matrix_stage &stage)
{
    return size_t(stage.panels) * MPSRNN_CHANNEL_ROWS * PANEL;
}

} // namespace twin
} // namespace
#endif
