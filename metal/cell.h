// What the cells share: where a thread stands, how it adds up the convolutions of its gates, how it stores.
//
// A thread makes MPSRNN_PIXELS_PER_THREAD neighbouring pixels of one row, four output channels (one slice) each, for
// all gates of its kernel. It reads every weight once for all its pixels, and needs no other thread.
#ifndef MPSRNN_CELL_H
#define MPSRNN_CELL_H
#include "params.h"
#include "neuron.h"

constant bool HAS_STATE       [[function_constant(MPSRNN_CONSTANT_HAS_STATE)]];
constant bool HAS_RECURRENT   [[function_constant(MPSRNN_CONSTANT_HAS_RECURRENT)]];
constant bool HAS_MEMORY      [[function_constant(MPSRNN_CONSTANT_HAS_MEMORY)]];
constant bool HAS_DESTINATION [[function_constant(MPSRNN_CONSTANT_HAS_DESTINATION)]];
constant bool KEEPS_OUTPUT    [[function_constant(MPSRNN_CONSTANT_KEEPS_OUTPUT)]];
constant bool UNIT_TRANSFORM  [[function_constant(MPSRNN_CONSTANT_UNIT_TRANSFORM)]];

struct position {
    int x, y;       // first pixel
    uint image;     // of the batch
    uint slice;     // of output channels
};

static inline position position_of(uint3 thread_position, constant mpsrnn_cell_params &p)
{
    position at;
    at.x = int(thread_position.x) * MPSRNN_PIXELS_PER_THREAD;
    at.y = int(thread_position.y);
    at.image = thread_position.z / p.slices;
    at.slice = thread_position.z % p.slices;
    return at;
}

static inline bool is_outside(position at, constant mpsrnn_cell_params &p)
{
    return at.x >= int(p.width) || at.y >= int(p.height) || at.image >= p.images;
}

// Texture coordinates of a thread's i-th pixel; the row may end before it.
static inline uint2 pixel(position at, int i)
{
    return uint2(uint(at.x + i), uint(at.y));
}

static inline bool has_pixel(position at, int i, constant mpsrnn_cell_params &p)
{
    return at.x + i < int(p.width);
}

// The slice of an image whose channels are the cell's output channels.
static inline uint texture_slice(position at, constant mpsrnn_cell_params &p)
{
    return at.image * p.slices + at.slice;
}

template <int GATES>
struct gate_sums {
    float4 gate[GATES][MPSRNN_PIXELS_PER_THREAD];
};

// Starts the sums of all gates at the bias.
template <int GATES>
static inline void start_sums(thread gate_sums<GATES> &sums, device const float4 *channels, position at)
{
    for (int g = 0; g < GATES; ++g) {
        const float4 bias = channels[(at.slice * GATES + g) * MPSRNN_CHANNEL_ROWS + MPSRNN_CHANNEL_BIAS];
        for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
            sums.gate[g][i] = bias;
        }
    }
}

// Adds one convolution. Outside the image there is zero, whatever the texture unit would return there.
template <typename T, int GATES>
static inline void add_convolution(thread gate_sums<GATES> &sums, texture2d_array<float, access::read> source,
                                   constant mpsrnn_term &term, device const vec<T, 4> *weights,
                                   device const short2 *taps, constant mpsrnn_cell_params &p, position at)
{
    const uint tap_weights = term.group_source_slices * 4 * GATES;
    const uint first_slice = at.image * term.source_slices
                           + at.slice / term.group_output_slices * term.group_source_slices;
    device const vec<T, 4> *w = weights + (term.first_weight + at.slice * term.taps * tap_weights);
    for (uint tap = 0; tap < term.taps; ++tap) {
        const short2 offset = taps[term.first_tap + tap];
        const int x = at.x + int(offset.x);
        const int y = at.y + int(offset.y);
        if (y < 0 || y >= int(p.height)) {
            w += tap_weights;
            continue;
        }
        for (uint s = 0; s < term.group_source_slices; ++s) {
            float4 value[MPSRNN_PIXELS_PER_THREAD];
            for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
                value[i] = float4(0.0f);
                if (x + i >= 0 && x + i < int(p.width)) {
                    value[i] = source.read(uint2(uint(x + i), uint(y)), first_slice + s);
                }
            }
            for (int k = 0; k < 4; ++k) {
                for (int g = 0; g < GATES; ++g) {
                    const float4 column = float4(w[k * GATES + g]);
                    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
                        sums.gate[g][i] += column * value[i][k];
                    }
                }
            }
            w += 4 * GATES;
        }
    }
}

// The input's share: W*x, or x itself for every gate in unit-transform mode.
template <typename T, int GATES>
static inline void add_input(thread gate_sums<GATES> &sums, texture2d_array<float, access::read> source,
                             constant mpsrnn_term &term, device const vec<T, 4> *weights, device const short2 *taps,
                             constant mpsrnn_cell_params &p, position at)
{
    if (!UNIT_TRANSFORM) {
        add_convolution<T, GATES>(sums, source, term, weights, taps, p, at);
        return;
    }
    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
        if (has_pixel(at, i, p)) {
            const float4 value = source.read(pixel(at, i), texture_slice(at, p));
            for (int g = 0; g < GATES; ++g) {
                sums.gate[g][i] += value;
            }
        }
    }
}

// Row `row` of a gate's per-channel array.
template <int GATES>
static inline float4 channel_row(device const float4 *channels, int gate, int row, position at)
{
    return channels[(at.slice * GATES + gate) * MPSRNN_CHANNEL_ROWS + row];
}

// Gate `gate` of the kernel, after its neuron.
template <int GATES>
static inline float4 activate(uint type, float4 sum, int gate, device const float4 *channels,
                              constant mpsrnn_cell_params &p, position at)
{
    const float4 a = channel_row<GATES>(channels, gate, MPSRNN_CHANNEL_A, at);
    return neuron(type, sum, a, p.neurons[gate].b, p.neurons[gate].c);
}

// Stores four channels. Components past the last channel become zero: the next reader multiplies them by zero weights,
// and a neuron can have made them infinite.
static inline void store(texture2d_array<float, access::write> image, float4 value, int i, position at,
                         constant mpsrnn_cell_params &p)
{
    const uint channel = at.slice * 4;
    if (channel + 4 > p.channels) {
        value.y = channel + 1 < p.channels ? value.y : 0.0f;
        value.z = channel + 2 < p.channels ? value.z : 0.0f;
        value.w = 0.0f;
    }
    image.write(value, pixel(at, i), texture_slice(at, p));
}

#endif
