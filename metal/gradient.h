// What the gradients of the cells share: the time steps of a sequence, and how a thread carries a gradient back.
//
// `delta` is the gradient with respect to what goes into a gate's neuron, `carry` that with respect to the state
// between two steps. Blocks of rows, slices and phases are those of matrix_cell.h; the walk goes down in time. All
// memory is our own, [row][slice] of four floats. Of delta and carry those past the last channel are zero.
#ifndef MPSRNN_GRADIENT_H
#define MPSRNN_GRADIENT_H
#include "matrix_cell.h"
#include "neuron_gradient.h"

// mpsrnn_gradient_step of params.h, with pointers in place of addresses.
struct gradient_step {
    device const float4 *source;
    device const float4 *gradient;
    device const float4 *output_in;
    device const float4 *memory_in;
    device const float4 *memory;
    device const float4 *reset;
    device const float4 *updated;
    device const float4 *sums;
    device float4 *delta;
    device const float4 *carry_output_in;
    device const float4 *carry_memory_in;
    device float4 *carry_output;
    device float4 *carry_memory;
    device uchar *source_gradient;
    uint source_gradient_stride;
    uint rows;
};
static_assert(sizeof(gradient_step) == MPSRNN_GRADIENT_STEP_SIZE, "the layout of mpsrnn_gradient_step in params.h");

template <int ROWS>
struct row_values {
    float4 row[ROWS];
};

template <int ROWS>
static inline row_values<ROWS> zero_rows()
{
    row_values<ROWS> result;
    for (int i = 0; i < ROWS; ++i) {
        result.row[i] = float4(0.0f);
    }
    return result;
}

// Without what lies past the last channel.
static inline float4 only_channels(float4 value, place at, constant mpsrnn_cell_params &p)
{
    for (uint k = 0; k < 4; ++k) {
        value[k] = at.slice * 4 + k < p.channels ? value[k] : 0.0f;
    }
    return value;
}

// Adds the product of a gate's delta with its matrix; `first` is where the latter lies among the weights.
template <typename T, int ROWS>
static inline void add_back(thread row_values<ROWS> &sums, device const gradient_step &step, uint gates, uint gate,
                            uint first, device const vec<T, 4> *weights, place at, constant mpsrnn_cell_params &p)
{
    if (first == MPSRNN_ABSENT || at.row >= step.rows) {
        return;
    }
    device const float4 *delta = step.delta;
    ulong first_delta[ROWS];
    for (int i = 0; i < ROWS; ++i) {
        const uint row = min(at.row + uint(i), step.rows - 1);      // the results of rows that are not there go unused
        first_delta[i] = (ulong(row) * gates + gate) * p.slices;
    }
    device const vec<T, 4> *w = weights + (first + at.slice * p.slices * 4);
    for (uint s = 0; s < p.slices; ++s) {
        float4 value[ROWS];
        for (int i = 0; i < ROWS; ++i) {
            value[i] = delta[first_delta[i] + s];
        }
        for (int k = 0; k < 4; ++k) {
            const float4 column = float4(w[k]);
            for (int i = 0; i < ROWS; ++i) {
                sums.row[i] += column * value[i][k];
            }
        }
        w += 4;
    }
}

// The gradient with respect to h1: what comes from above and what the next step carries back.
static inline float4 output_gradient(device const gradient_step &step, uint row, place at,
                                     constant mpsrnn_cell_params &p)
{
    const ulong i = own_index(row, at, p);
    return step.gradient[i] + step.carry_output_in[i];
}

static inline void store_delta(device const gradient_step &step, float4 value, uint row, uint gates, uint gate,
                               place at, constant mpsrnn_cell_params &p)
{
    step.delta[sum_index(row, gates, gate, at, p)] = only_channels(value, at, p);
}

// What a gate was before its neuron.
static inline float4 gate_sum(device const gradient_step &step, uint row, uint gates, uint gate, place at,
                              constant mpsrnn_cell_params &p)
{
    return step.sums[sum_index(row, gates, gate, at, p)];
}

// The derivative of gate `gate`'s neuron.
template <int GATES>
static inline float4 activate_gradient(uint type, float4 sum, int gate, device const float4 *channels,
                                       constant mpsrnn_cell_params &p, uint slice)
{
    const float4 a = channel_row<GATES>(channels, gate, MPSRNN_CHANNEL_A, slice);
    return neuron_gradient(type, sum, a, p.neurons[gate].b, p.neurons[gate].c);
}

#endif
