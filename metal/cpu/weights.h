// From the weights of a kernel (params.h) to panels: what a twin multiplies by.
//
// A panel holds VECTORS vectors of outputs: for each gate, GROUPS vectors of neighbouring channels. The reduction runs
// over the terms with a state first, then the input, whose last slice may have channels without weights.
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
    bool is_half;
};

// Where output (channel, gate) lies: panel * PANEL + lane.
TWIN_INLINE size_t place_of(uint32_t channel, int gate, int gates)
{
    const uint32_t groups = VECTORS / gates, channels = groups * LANES;
    const uint32_t within = channel % channels;
    return size_t(channel / channels) * PANEL + (gate * groups + within / LANES) * LANES + within % LANES;
}

inline f4 four_weights(const packing &k, size_t unit)
{
    const char *weights = static_cast<const char *>(k.dispatch->buffers[MPSRNN_BUFFER_WEIGHTS].contents);
    if (!k.is_half)
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

// Input channels that any output uses: those of the last slice may be padding.
inline uint32_t used_depth(const packing &k, const mpsrnn_term &term)
{
    const mpsrnn_cell_params &p = params_of(k);
    uint32_t depth = term.source_slices * 4;
    for (; depth > term.source_slices * 4 - 3; --depth)
        for (uint32_t slice = 0; slice < p.slices; ++slice)
            for (uint32_t tap = 0; tap < term.taps; ++tap)
                for (int gate = 0; gate < k.gates; ++gate) {
                    const f4 w = weights_at(k, term, slice, tap, depth - 1, gate);
                    for (int i = 0; i < 4; ++i)
                        if (w[i] != 0.0f)
                            return depth;
                }
    return depth;
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

// [panel][point][k][PANEL], transformed in double.
template <int TAPS> void pack_winograd(void *to, const void *context)
{
    const packing &k = *static_cast<const packing *>(context);
    const mpsrnn_cell_params &p = params_of(k);
    const tap_offset *taps = taps_of(k.dispatch);
    float *panels = static_cast<float *>(to);
    uint32_t first = 0;
    for (uint32_t t = 0; t < k.plan->term_count; ++t) {
        const mpsrnn_term &term = p.terms[k.term_of[t]];
        for (uint32_t o = 0; o < p.channels; ++o)
            for (int gate = 0; gate < k.gates; ++gate) {
                const size_t place = place_of(o, gate, k.gates);
                float *panel = panels + place / PANEL * k.plan->panel_weights + place % PANEL;
                for (uint32_t input = 0; input < k.plan->terms[t].depth; ++input) {
                    double window[TAPS][TAPS] = {};
                    for (uint32_t tap = 0; tap < term.taps; ++tap) {
                        const tap_offset at = taps[term.first_tap + tap];
                        window[at.y + TAPS / 2][at.x + TAPS / 2] = weights_at(k, term, o / 4, tap, input, gate)[o % 4];
                    }
                    pack_filter<TAPS>(window, panel + (first + input) * PANEL, k.plan->point_weights);
                }
            }
        first += t + 1 < k.plan->term_count ? k.plan->terms[t].slices * 4 : 0;
    }
    const size_t count = k.plan->panel_weights * k.plan->panels;
    bool is_finite = true;
    for (size_t i = 0; i < count; ++i)
        is_finite = is_finite && panels[i] - panels[i] == 0.0f;
    panels[count] = is_finite ? 1.0f : 0.0f;
}

// [panel][term][tap][k][PANEL].
inline void pack_direct(void *to, const void *context)
{
    const packing &k = *static_cast<const packing *>(context);
    const mpsrnn_cell_params &p = params_of(k);
    float *panels = static_cast<float *>(to);
    size_t first = 0;
    for (uint32_t t = 0; t < k.plan->term_count; ++t) {
        const mpsrnn_term &term = p.terms[k.term_of[t]];
        const uint32_t depth = k.plan->terms[t].depth;
        for (uint32_t o = 0; o < p.channels; ++o)
            for (int gate = 0; gate < k.gates; ++gate) {
                const size_t place = place_of(o, gate, k.gates);
                float *panel = panels + place / PANEL * k.plan->panel_weights + place % PANEL + first * PANEL;
                for (uint32_t tap = 0; tap < term.taps; ++tap)
                    for (uint32_t input = 0; input < depth; ++input)
                        panel[(size_t(tap) * depth + input) * PANEL] = weights_at(k, term, o / 4, tap, input, gate)[o % 4];
            }
        first += size_t(term.taps) * depth;
    }
}

// [panel][row][PANEL] of the per-channel array.
inline void pack_rows(void *to, const void *context)
{
    const packing &k = *static_cast<const packing *>(context);
    const mpsrnn_cell_params &p = params_of(k);
    const float *from = static_cast<const float *>(k.dispatch->buffers[MPSRNN_BUFFER_CHANNELS].contents);
    for (uint32_t o = 0; o < p.channels; ++o)
        for (int gate = 0; gate < k.gates; ++gate)
            for (int row = 0; row < MPSRNN_CHANNEL_ROWS; ++row) {
                const size_t place = place_of(o, gate, k.gates);
                static_cast<float *>(to)[(place / PANEL * MPSRNN_CHANNEL_ROWS + row) * PANEL + place % PANEL] =
                    from[((size_t(o / 4) * k.gates + gate) * MPSRNN_CHANNEL_ROWS + row) * 4 + o % 4];
            }
}

} // namespace twin
} // namespace
#endif
