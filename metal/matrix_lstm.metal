// Long short-term memory over rows of a matrix:
//     i = gi(Wi x + Ui h0 + Vi c0 + bi), f and c likewise;  c1 = f c0 + i c
//     o = go(Wo x + Uo h0 + Vo c1 + bo)   (the new cell);   h1 = o gh(c1)
// One phase, except when Vo is a matrix: it needs c1 of other channels, so the output is a second phase.
#include <metal_stdlib>
using namespace metal;
#include "matrix_cell.h"

constant uint NEURON_0      [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];
constant uint NEURON_1      [[function_constant(MPSRNN_CONSTANT_NEURON_1)]];
constant uint NEURON_2      [[function_constant(MPSRNN_CONSTANT_NEURON_2)]];
constant uint NEURON_3      [[function_constant(MPSRNN_CONSTANT_NEURON_3)]];
constant uint NEURON_OUTPUT [[function_constant(MPSRNN_CONSTANT_NEURON_OUTPUT)]];
constant bool HAS_PEEPHOLE  [[function_constant(MPSRNN_CONSTANT_HAS_PEEPHOLE)]];
constant bool SPLITS_OUTPUT [[function_constant(MPSRNN_CONSTANT_SPLITS_OUTPUT)]];

// A gate's diagonal peephole, V c.
static inline float4 peephole(int gate, float4 cell, device const float4 *channels, uint slice)
{
    return HAS_PEEPHOLE ? channel_row<4>(channels, gate, MPSRNN_CHANNEL_PEEPHOLE, slice) * cell : float4(0.0f);
}

static inline float4 cell_to_output(float4 cell, constant mpsrnn_cell_params &p)
{
    return neuron(NEURON_OUTPUT, cell, float4(p.output_a), p.output_neuron.b, p.output_neuron.c);
}

static inline void store_sum(device const matrix_step &step, float4 sum, uint gate, uint row, place at,
                             constant mpsrnn_cell_params &p)
{
    if (KEEPS_SUMS) {
        step.sums[sum_index(row, 4, gate, at, p)] = sum;
    }
}

// A row whose sequence has ended keeps its state.
static inline void keep_state(device const matrix_step &step, int i, place at, constant mpsrnn_cell_params &p)
{
    const uint row = at.row + uint(i);
    store_state(step, load_state(step.output_in, step.output_in_stride, step.state_rows, i, at, p), row, at, p);
    store_memory(step, load_state(step.memory_in, step.memory_in_stride, step.state_rows, i, at, p), row, at, p);
}

template <typename T, int ROWS>
static inline void run_gates(device const matrix_step &step, constant mpsrnn_cell_params &p,
                             device const vec<T, 4> *weights, device const float4 *channels, place at)
{
    row_sums<4, ROWS> sums;
    start_sums<4, ROWS>(sums, channels, at);
    add_input<T, 4, ROWS>(sums, step, weights, at, p);
    add_product<T, float, 4, ROWS>(sums, step.output_in, step.output_in_stride, step.state_rows, p.channels,
                                   p.terms[1], weights, at);
    add_product<T, float, 4, ROWS>(sums, step.memory_in, step.memory_in_stride, step.state_rows, p.channels,
                                   p.terms[2], weights, at);
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        if (row >= step.rows) {
            if (row < step.state_rows) {
                keep_state(step, i, at, p);
            }
            continue;
        }
        const float4 c0 = load_state(step.memory_in, step.memory_in_stride, step.state_rows, i, at, p);
        const float4 sum_i = sums.gate[MPSRNN_GATE_INPUT][i] + peephole(MPSRNN_GATE_INPUT, c0, channels, at.slice);
        const float4 sum_f = sums.gate[MPSRNN_GATE_FORGET][i] + peephole(MPSRNN_GATE_FORGET, c0, channels, at.slice);
        const float4 sum_c = sums.gate[MPSRNN_GATE_CELL][i] + peephole(MPSRNN_GATE_CELL, c0, channels, at.slice);
        store_sum(step, sum_i, MPSRNN_GATE_INPUT, row, at, p);
        store_sum(step, sum_f, MPSRNN_GATE_FORGET, row, at, p);
        store_sum(step, sum_c, MPSRNN_GATE_CELL, row, at, p);
        const float4 in = activate<4>(NEURON_0, sum_i, MPSRNN_GATE_INPUT, channels, p, at.slice);
        const float4 forget = activate<4>(NEURON_1, sum_f, MPSRNN_GATE_FORGET, channels, p, at.slice);
        const float4 cell = activate<4>(NEURON_2, sum_c, MPSRNN_GATE_CELL, channels, p, at.slice);
        const float4 c1 = forget * c0 + in * cell;
        store_memory(step, c1, row, at, p);
        const float4 sum_o = sums.gate[MPSRNN_GATE_OUTPUT][i] + peephole(MPSRNN_GATE_OUTPUT, c1, channels, at.slice);
        if (SPLITS_OUTPUT) {
            step.gate[own_index(row, at, p)] = sum_o;
            continue;
        }
        store_sum(step, sum_o, MPSRNN_GATE_OUTPUT, row, at, p);
        const float4 out = activate<4>(NEURON_3, sum_o, MPSRNN_GATE_OUTPUT, channels, p, at.slice);
        store_output(step, out * cell_to_output(c1, p), row, at, p);
    }
}

// The output gate with a product with the new cell. It is the only gate of its stage.
template <typename T, int ROWS>
static inline void run_output(device const matrix_step &step, constant mpsrnn_cell_params &p,
                              device const vec<T, 4> *weights, device const float4 *channels, place at)
{
    row_sums<1, ROWS> sums;
    start_sums<1, ROWS>(sums, channels, at);
    add_own<T, 1, ROWS>(sums, step.memory, step.rows, 0, weights, at, p);
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        if (row < step.rows) {
            const float4 sum = sums.gate[0][i] + step.gate[own_index(row, at, p)];
            const float4 c1 = step.memory[own_index(row, at, p)];
            store_sum(step, sum, MPSRNN_GATE_OUTPUT, row, at, p);
            const float4 out = activate<1>(NEURON_3, sum, 0, channels, p, at.slice);
            store_output(step, out * cell_to_output(c1, p), row, at, p);
        }
    }
}

template <typename T, int ROWS>
kernel void matrix_lstm(
    constant mpsrnn_matrix_run  &run             [[buffer(MPSRNN_BUFFER_RUN)]],
    device const matrix_step    *steps           [[buffer(MPSRNN_BUFFER_STEPS)]],
    constant mpsrnn_cell_params &p               [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>      *weights         [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const float4         *channels        [[buffer(MPSRNN_BUFFER_CHANNELS)]],
    constant mpsrnn_cell_params &output_p
        [[buffer(MPSRNN_BUFFER_OUTPUT_PARAMS), function_constant(SPLITS_OUTPUT)]],
    device const vec<T, 4>      *output_weights
        [[buffer(MPSRNN_BUFFER_OUTPUT_WEIGHTS), function_constant(SPLITS_OUTPUT)]],
    device const float4         *output_channels
        [[buffer(MPSRNN_BUFFER_OUTPUT_CHANNELS), function_constant(SPLITS_OUTPUT)]],
    uint2 position [[thread_position_in_grid]],
    uint2 size     [[threads_per_grid]])
{
    place at;
    at.row = position.y * ROWS;
    for (uint t = run.first_step; t < run.last_step; ++t) {
        for (uint phase = run.first_phase; phase < run.last_phase; ++phase) {
            for (at.slice = position.x; at.slice < p.slices; at.slice += size.x) {
                if (phase == 0) {
                    run_gates<T, ROWS>(steps[t], p, weights, channels, at);
                } else if (SPLITS_OUTPUT) {
                    run_output<T, ROWS>(steps[t], output_p, output_weights, output_channels, at);
                }
            }
            threadgroup_barrier(mem_flags::mem_device);
        }
    }
}

template [[host_name("matrix_lstm_half_1")]] kernel decltype(matrix_lstm<half, 1>) matrix_lstm<half, 1>;
template [[host_name("matrix_lstm_half_4")]] kernel decltype(matrix_lstm<half, 4>) matrix_lstm<half, 4>;
template [[host_name("matrix_lstm_float_1")]] kernel decltype(matrix_lstm<float, 1>) matrix_lstm<float, 1>;
template [[host_name("matrix_lstm_float_4")]] kernel decltype(matrix_lstm<float, 4>) matrix_lstm<float, 4>;
