// From the weights of a kernel (params.h) to panels: what a twin multiplies by.
//
// The reduction runs over the terms with a state first, then the input, whose last slice may have channels without
// weights.
#ifndef TWIN_WEIGHTS_H
#define TWIN_WEIGHTS_H
#include "plan.h"
#include "surface.h"
#include "winograd.h"

namespace {
namespace twin {

struct packing {
    const msl_dispatch *dispatch;
    const image_plan *plan;
    const uint32_t *term_of;    // which of the kernel's terms each of the plan's is
    int gates;
};

inline f4 four_weights(const packing &k, size_t unit)
{
    const char *weights = static_cast<const char *>(k.dispatch->buffers[MPSRNN_BUFFER_WEIGHTS].contents);
    if (!k.plan->is_half)
        return load4(reinterpret_cast<const float *>(weights) + unit * 4);
    uint64_t stored;
    memcpy(&stored, weights + unit * 8, sizeof stored);
    return msl::half_to_float(stored);
}

inline const mpsrnn_cell_params &params_of(const packing &k)
{
    return *static_cast<const mpsrnn_cell_params *>(k.dispatch->buffers[MPSRNN_BUFFER_PARAMS].contents);
}

// Weights of four output channels for tap `tap` and input channel `input`.
inline f4 weights_at(const packing &k, const mpsrnn_term &term, uint32_t slice, uint32_t tap, uint32_t input, int gate)
{
    size_t unit = (size_t(slice) * term.taps + tap) * term.group_source_slices + input / 4;
    unit = (unit * 4 + input % 4) * k.gates + gate + term.first_weight;
    return four_weights(k, unit);
}

struct tap_offset {
    int16_t x, y;
};

inline const tap_offset *taps_of(const msl_dispatch *dispatch)
{
    return static_cast<const tap_offset *>(dispatch->buffers[MPSRNN_BUFFER_TAPS].contents);
}

template <int TAPS> void pack_filter(const double (&window)[TAPS][TAPS], float *to, size_t step)
{
    enum { SIZE = winograd<TAPS>::SIZE };
    double columns[SIZE][TAPS];
    for (int x = 0; x < TAPS; ++x) {
        double column[TAPS], transformed[SIZE];
        for (int y = 0; y < TAPS; ++y)
            column[y] = window[y][x];
        winograd<TAPS>::filter(column, transformed);
        for (int i = 0; i < SIZE; ++i)
            columns[i][x] = transformed[i];
    }
    for (int i = 0; i < SIZE; ++i) {
        double transformed[SIZE];
        winograd<TAPS>::filter(columns[i], transformed);
        for (int j = 0; j < SIZE; ++j)
            to[(i * SIZE + j) * step] = float(transformed[j]);
    }
}

// Calls `pack(outputs, channel, gate, lane)` for every output channel, with the panel and the lane it lies in.
template <class Function> void for_each_output(const packing &k, const Function &pack)
{
    const uint32_t channels = params_of(k).channels;
    for (uint32_t index = 0; index < k.plan->panels; ++index) {
        const panel outputs = panel_at(*k.plan, index, uint32_t(k.gates));
        for (uint32_t i = 0; i < outputs.slices * 4 && outputs.slice * 4 + i < channels; ++i)
            for (int gate = 0; gate < k.gates; ++gate)
                pack(outputs, outputs.slice * 4 + i, gate,
                     outputs.lane_of(gate, int(i / outputs.width), k.gates) + i % outputs.width);
    }
}

// Of a panel: [point][k][lanes], transformed in double.
template <int TAPS> void pack_winograd(void *to, const void *context)
{
    const packing &k = *static_cast<const packing *>(context);
    const image_plan &plan = *k.plan;
    const tap_offset *taps = taps_of(k.dispatch);
    float *panels = static_cast<float *>(to);
    const size_t points = point_count(plan.how);
    uint32_t first = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        const mpsrnn_term &term = params_of(k).terms[k.term_of[t]];
        const uint32_t depth = plan.terms[t].depth;
        for_each_output(k, [&](const panel &outputs, uint32_t channel, int gate, uint32_t lane) {
            float *weights = panels + size_t(outputs.vector) * LANES * plan.depth * points + lane;
            for (uint32_t input = 0; input < depth; ++input) {
                double window[TAPS][TAPS] = {};
                for (uint32_t tap = 0; tap < term.taps; ++tap) {
                    const tap_offset at = taps[term.first_tap + tap];
                    window[at.y + TAPS / 2][at.x + TAPS / 2] =
                        weights_at(k, term, channel / 4, tap, input, gate)[channel % 4];
                }
                pack_filter<TAPS>(window, weights + size_t(first + input) * outputs.lanes(),
                                  size_t(plan.depth) * outputs.lanes());
            }
        });
        first += depth;
    }
    const size_t count = size_t(plan.depth) * points * plan.total_vectors * LANES;
    bool is_finite = true;
    for (size_t i = 0; i < count; ++i)
        is_finite = is_finite && panels[i] - panels[i] == 0.0f;
    panels[count] = is_finite ? 1.0f : 0.0f;
}

// Of a panel: [term][tap][k][lanes].
inline void pack_direct(void *to, const void *context)
{
    const packing &k = *static_cast<const packing *>(context);
    const image_plan &plan = *k.plan;
    float *panels = static_cast<float *>(to);
    uint32_t first = 0;
    for (uint32_t t = 0; t < plan.term_count; ++t) {
        const mpsrnn_term &term = params_of(k).terms[k.term_of[t]];
        const uint32_t depth = plan.terms[t].depth;
        for_each_output(k, [&](const panel &outputs, uint32_t channel, int gate, uint32_t lane) {
            float *weights = panels + size_t(outputs.vector) * LANES * plan.depth + lane;
            for (uint32_t tap = 0; tap < term.taps; ++tap)
                for (uint32_t input = 0; input < depth; ++input)
                    weights[size_t(first + tap * depth + input) * outputs.lanes()] =
                        weights_at(k, term, channel / 4, tap, input, gate)[channel % 4];
        });
        first += term.taps * depth;
    }
}

// Of a panel: [row][lanes] of the per-channel array.
inline void pack_rows(void *to, const void *context)
{
    const packing &k = *static_cast<const packing *>(context);
    const float *from = static_cast<const float *>(k.dispatch->buffers[MPSRNN_BUFFER_CHANNELS].contents);
    for_each_output(k, [&](const panel &outputs, uint32_t channel, int gate, uint32_t lane) {
        float *rows = static_cast<float *>(to) + size_t(outputs.vector) * LANES * MPSRNN_CHANNEL_ROWS + lane;
        for (uint32_t row = 0; row < MPSRNN_CHANNEL_ROWS; ++row)
            rows[row * outputs.lanes()] =
                from[((size_t(channel / 4) * k.gates + gate) * MPSRNN_CHANNEL_ROWS + row) * 4 + channel % 4];
    });
}

} // namespace twin
} // namespace
#endif
