// What the cells of matrix layers share: the time steps of a sequence, the sums of a cell's gates, how it stores.
//
// A threadgroup owns a block of rows of the batch, a thread ROWS rows of it: it makes four output channels (one slice)
// of them at a time, for all gates of a phase, and strides over the slices. Rows have nothing to do with each other, so
// a barrier of the threadgroup lets the next phase see what this one made. The order in which a sum is added up depends
// on neither the plan nor ROWS.
#ifndef MPSRNN_MATRIX_CELL_H
#define MPSRNN_MATRIX_CELL_H
#include "params.h"
#include "neuron.h"

constant bool SOURCE_HALF      [[function_constant(MPSRNN_CONSTANT_SOURCE_HALF)]];
constant bool DESTINATION_HALF [[function_constant(MPSRNN_CONSTANT_DESTINATION_HALF)]];
constant bool HAS_DESTINATION  [[function_constant(MPSRNN_CONSTANT_HAS_DESTINATION)]];
constant bool KEEPS_SUMS       [[function_constant(MPSRNN_CONSTANT_KEEPS_SUMS)]];
constant bool ADDS             [[function_constant(MPSRNN_CONSTANT_ADDS)]];
constant bool UNIT_TRANSFORM   [[function_constant(MPSRNN_CONSTANT_UNIT_TRANSFORM)]];
// A permission that these kernels make no use of: it is for tuned twins of them.
constant bool REDUCED_PRECISION [[function_constant(MPSRNN_CONSTANT_REDUCED_PRECISION)]];

// mpsrnn_matrix_step of params.h, with pointers in place of addresses.
struct matrix_step {
    device const uchar *source;
    device uchar *destination;
    device const float *output_in;
    device const float *memory_in;
    device float *kept_output;
    device float *kept_memory;
    device float4 *output;
    device float4 *memory;
    device float4 *gate;
    device float4 *reset;
    device float4 *updated;
    device float4 *sums;
    device const float4 *addend;
    uint source_stride, destination_stride;
    uint output_in_stride, memory_in_stride;
    uint kept_output_stride, kept_memory_stride;
    uint is_kept;
    uint rows;
    uint state_rows;
    uint unused;
};
static_assert(sizeof(matrix_step) == MPSRNN_MATRIX_STEP_SIZE, "the layout of mpsrnn_matrix_step in params.h");

// What a thread works at: a slice of output channels of the rows from `row` on.
struct place {
    uint slice, row;
};

template <int GATES, int ROWS>
struct row_sums {
    float4 gate[GATES][ROWS];
};

// ---- Reading ----

// Elements `channel` to `channel` + 3 of a row; zero past the last of `channels`, where the row may end.
template <typename E>
static inline float4 load(device const E *row, uint channel, uint channels)
{
    if (channel + 4 <= channels) {
        return float4(float(row[channel]), float(row[channel + 1]), float(row[channel + 2]), float(row[channel + 3]));
    }
    float4 value = float4(0.0f);
    for (uint k = 0; channel + k < channels; ++k) {
        value[k] = float(row[channel + k]);
    }
    return value;
}

// The thread's slice of row i of a previous state, zero where the row has none.
static inline float4 load_state(device const float *state, uint stride, uint state_rows, int i, place at,
                                constant mpsrnn_cell_params &p)
{
    const uint row = at.row + uint(i);
    return row < state_rows ? load(state + ulong(row) * stride, at.slice * 4, p.channels) : float4(0.0f);
}

// ---- Sums ----

// Row `row` of a gate's per-channel array.
template <int GATES>
static inline float4 channel_row(device const float4 *channels, int gate, int row, uint slice)
{
    return channels[(slice * GATES + gate) * MPSRNN_CHANNEL_ROWS + row];
}

// Starts the sums of all gates at the bias.
template <int GATES, int ROWS>
static inline void start_sums(thread row_sums<GATES, ROWS> &sums, device const float4 *channels, place at)
{
    for (int g = 0; g < GATES; ++g) {
        const float4 bias = channel_row<GATES>(channels, g, MPSRNN_CHANNEL_BIAS, at.slice);
        for (int i = 0; i < ROWS; ++i) {
            sums.gate[g][i] = bias;
        }
    }
}

// Adds a product with rows of `channels` elements, of which there are `rows`; the others are zero.
template <typename T, typename E, int GATES, int ROWS>
static inline void add_product(thread row_sums<GATES, ROWS> &sums, device const E *source, uint stride, uint rows,
                               uint channels, constant mpsrnn_term &term, device const vec<T, 4> *weights, place at)
{
    if (term.taps == 0 || at.row >= rows) {
        return;
    }
    const uint first = at.slice / term.group_output_slices * term.group_source_slices;
    device const E *x = source + ulong(at.row) * stride;
    device const vec<T, 4> *w = weights + (term.first_weight + at.slice * term.group_source_slices * 4 * GATES);
    for (uint s = first; s < first + term.group_source_slices; ++s) {
        float4 value[ROWS];
        for (int i = 0; i < ROWS; ++i) {
            value[i] = float4(0.0f);
            if (at.row + uint(i) < rows) {
                value[i] = load(x + ulong(i) * stride, s * 4, channels);
            }
        }
        #pragma unroll
        for (int k = 0; k < 4; ++k) {
            #pragma unroll
            for (int g = 0; g < GATES; ++g) {
                const float4 column = float4(w[k * GATES + g]);
                #pragma unroll
                for (int i = 0; i < ROWS; ++i) {
                    sums.gate[g][i] += column * value[i][k];
                }
            }
        }
        w += 4 * GATES;
    }
}

// Adds x itself to every gate.
template <typename E, int GATES, int ROWS>
static inline void add_identity(thread row_sums<GATES, ROWS> &sums, device const E *source, uint stride, uint rows,
                                place at, constant mpsrnn_cell_params &p)
{
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        if (row < rows) {
            const float4 value = load(source + ulong(row) * stride, at.slice * 4, p.channels);
            for (int g = 0; g < GATES; ++g) {
                sums.gate[g][i] += value;
            }
        }
    }
}

// The input's share: W x, or x itself in unit-transform mode.
template <typename T, typename E, int GATES, int ROWS>
static inline void add_input_of(thread row_sums<GATES, ROWS> &sums, device const matrix_step &step,
                                device const vec<T, 4> *weights, place at, constant mpsrnn_cell_params &p)
{
    device const E *source = (device const E *)step.source;
    if (UNIT_TRANSFORM) {
        add_identity<E, GATES, ROWS>(sums, source, step.source_stride, step.rows, at, p);
    } else {
        add_product<T, E, GATES, ROWS>(sums, source, step.source_stride, step.rows, p.input_channels, p.terms[0],
                                       weights, at);
    }
}

template <typename T, int GATES, int ROWS>
static inline void add_input(thread row_sums<GATES, ROWS> &sums, device const matrix_step &step,
                             device const vec<T, 4> *weights, place at, constant mpsrnn_cell_params &p)
{
    if (SOURCE_HALF) {
        add_input_of<T, half, GATES, ROWS>(sums, step, weights, at, p);
    } else {
        add_input_of<T, float, GATES, ROWS>(sums, step, weights, at, p);
    }
}

// Adds the product of term `term` with memory of our own, which the rows of this step have.
template <typename T, int GATES, int ROWS>
static inline void add_own(thread row_sums<GATES, ROWS> &sums, device const float4 *source, uint rows, int term,
                           device const vec<T, 4> *weights, place at, constant mpsrnn_cell_params &p)
{
    add_product<T, float, GATES, ROWS>(sums, (device const float *)source, p.slices * 4, rows, p.channels,
                                       p.terms[term], weights, at);
}

// Gate `gate` of the phase, after its neuron.
template <int GATES>
static inline float4 activate(uint type, float4 sum, int gate, device const float4 *channels,
                              constant mpsrnn_cell_params &p, uint slice)
{
    const float4 a = channel_row<GATES>(channels, gate, MPSRNN_CHANNEL_A, slice);
    return neuron(type, sum, a, p.neurons[gate].b, p.neurons[gate].c);
}

// ---- Storing ----

// Where the thread's slice of row `row` lies in memory of our own.
static inline ulong own_index(uint row, place at, constant mpsrnn_cell_params &p)
{
    return ulong(row) * p.slices + at.slice;
}

// Where its sum of one of `gates` gates lies.
static inline ulong sum_index(uint row, uint gates, uint gate, place at, constant mpsrnn_cell_params &p)
{
    return (ulong(row) * gates + gate) * p.slices + at.slice;
}

// Stores the thread's slice of a row of the caller's.
template <typename E>
static inline void store(device E *row, float4 value, place at, constant mpsrnn_cell_params &p)
{
    for (uint k = 0; k < 4; ++k) {
        if (at.slice * 4 + k < p.channels) {
            row[at.slice * 4 + k] = E(value[k]);
        }
    }
}

static inline void store_memory(device const matrix_step &step, float4 c1, uint row, place at,
                                constant mpsrnn_cell_params &p)
{
    step.memory[own_index(row, at, p)] = c1;
    if (step.is_kept != 0) {
        store(step.kept_memory + ulong(row) * step.kept_memory_stride, c1, at, p);
    }
}

static inline void store_state(device const matrix_step &step, float4 h1, uint row, place at,
                               constant mpsrnn_cell_params &p)
{
    step.output[own_index(row, at, p)] = h1;
    if (step.is_kept != 0) {
        store(step.kept_output + ulong(row) * step.kept_output_stride, h1, at, p);
    }
}

// h1 of a row that runs: the state and the caller's destination.
static inline void store_output(device const matrix_step &step, float4 h1, uint row, place at,
                                constant mpsrnn_cell_params &p)
{
    store_state(step, h1, row, at, p);
    if (!HAS_DESTINATION) {
        return;
    }
    const float4 result = ADDS ? step.addend[own_index(row, at, p)] + h1 : h1;
    const ulong first = ulong(row) * step.destination_stride;
    if (DESTINATION_HALF) {
        store((device half *)step.destination + first, result, at, p);
    } else {
        store((device float *)step.destination + first, result, at, p);
    }
}

#endif
