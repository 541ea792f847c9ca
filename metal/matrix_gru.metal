// Gated recurrent unit over rows of a matrix, reset before the product, in two phases:
//     z = gz(Wz x + Uz h0 + bz),  r = gr(Wr x + Ur h0 + br)
//     h = gh(Wh x + Uh (r h0) + Vh (z h0) + bh),  s = (1 - z^p)^(1/p)
//     h1 = s h + z h0, flipped: s h0 + z h
#include <metal_stdlib>
using namespace metal;
#include "matrix_cell.h"

constant uint NEURON_0 [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];
constant uint NEURON_1 [[function_constant(MPSRNN_CONSTANT_NEURON_1)]];
constant uint NEURON_2 [[function_constant(MPSRNN_CONSTANT_NEURON_2)]];
constant bool FLIP     [[function_constant(MPSRNN_CONSTANT_FLIP)]];
constant bool P_NORM   [[function_constant(MPSRNN_CONSTANT_P_NORM)]];

static inline float4 previous_output(device const matrix_step &step, int i, place at, constant mpsrnn_cell_params &p)
{
    return load_state(step.output_in, step.output_in_stride, step.state_rows, i, at, p);
}

// The update and reset gates, and their products with the previous output that the candidate multiplies.
template <typename T, int ROWS>
static inline void run_gates(device const matrix_step &step, constant mpsrnn_cell_params &p,
                             constant mpsrnn_cell_params &output_p, device const vec<T, 4> *weights,
                             device const float4 *channels, place at)
{
    row_sums<2, ROWS> sums;
    start_sums<2, ROWS>(sums, channels, at);
    add_input<T, 2, ROWS>(sums, step, weights, at, p);
    add_product<T, float, 2, ROWS>(sums, step.output_in, step.output_in_stride, step.state_rows, p.channels,
                                   p.terms[1], weights, at);
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        if (row >= step.rows) {
            continue;
        }
        const float4 sum_z = sums.gate[MPSRNN_GATE_UPDATE][i];
        const float4 sum_r = sums.gate[MPSRNN_GATE_RESET][i];
        if (KEEPS_SUMS) {
            step.sums[sum_index(row, 3, MPSRNN_GATE_UPDATE, at, p)] = sum_z;
            step.sums[sum_index(row, 3, MPSRNN_GATE_RESET, at, p)] = sum_r;
        }
        const float4 z = activate<2>(NEURON_0, sum_z, MPSRNN_GATE_UPDATE, channels, p, at.slice);
        const float4 r = activate<2>(NEURON_1, sum_r, MPSRNN_GATE_RESET, channels, p, at.slice);
        const float4 h0 = previous_output(step, i, at, p);
        step.gate[own_index(row, at, p)] = z;
        if (output_p.terms[1].taps != 0) {
            step.reset[own_index(row, at, p)] = r * h0;
        }
        if (output_p.terms[2].taps != 0) {
            step.updated[own_index(row, at, p)] = z * h0;
        }
    }
}

// The candidate and the output.
template <typename T, int ROWS>
static inline void run_output(device const matrix_step &step, constant mpsrnn_cell_params &p,
                              device const vec<T, 4> *weights, device const float4 *channels, place at)
{
    row_sums<1, ROWS> sums;
    start_sums<1, ROWS>(sums, channels, at);
    add_input<T, 1, ROWS>(sums, step, weights, at, p);
    // Where a row has no previous output its products with it are zero, and need not be added.
    const uint rows = min(step.rows, step.state_rows);
    add_own<T, 1, ROWS>(sums, step.reset, rows, 1, weights, at, p);
    add_own<T, 1, ROWS>(sums, step.updated, rows, 2, weights, at, p);
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        const float4 h0 = previous_output(step, i, at, p);
        if (row < step.rows) {
            if (KEEPS_SUMS) {
                step.sums[sum_index(row, 3, 2, at, p)] = sums.gate[0][i];
            }
            const float4 h = activate<1>(NEURON_2, sums.gate[0][i], 0, channels, p, at.slice);
            const float4 z = step.gate[own_index(row, at, p)];
            const float4 s = P_NORM ? pow(1.0f - pow(z, float4(p.p_norm)), float4(1.0f / p.p_norm)) : 1.0f - z;
            store_output(step, FLIP ? s * h0 + z * h : s * h + z * h0, row, at, p);
        } else if (row < step.state_rows) {
            store_state(step, h0, row, at, p);
        }
    }
}

template <typename T, int ROWS>
kernel void matrix_gru(
    constant mpsrnn_matrix_run  &run             [[buffer(MPSRNN_BUFFER_RUN)]],
    device const matrix_step    *steps           [[buffer(MPSRNN_BUFFER_STEPS)]],
    constant mpsrnn_cell_params &p               [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>      *weights         [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const float4         *channels        [[buffer(MPSRNN_BUFFER_CHANNELS)]],
    constant mpsrnn_cell_params &output_p        [[buffer(MPSRNN_BUFFER_OUTPUT_PARAMS)]],
    device const vec<T, 4>      *output_weights  [[buffer(MPSRNN_BUFFER_OUTPUT_WEIGHTS)]],
    device const float4         *output_channels [[buffer(MPSRNN_BUFFER_OUTPUT_CHANNELS)]],
    uint2 position [[thread_position_in_grid]],
    uint2 size     [[threads_per_grid]])
{
    place at;
    at.row = position.y * ROWS;
    for (uint t = run.first_step; t < run.last_step; ++t) {
        for (uint phase = run.first_phase; phase < run.last_phase; ++phase) {
            for (at.slice = position.x; at.slice < p.slices; at.slice += size.x) {
                if (phase == 0) {
                    run_gates<T, ROWS>(steps[t], p, output_p, weights, channels, at);
                } else {
                    run_output<T, ROWS>(steps[t], output_p, output_weights, output_channels, at);
                }
            }
            threadgroup_barrier(mem_flags::mem_device);
        }
    }
}

template [[host_name("matrix_gru_half_1")]] kernel decltype(matrix_gru<half, 1>) matrix_gru<half, 1>;
template [[host_name("matrix_gru_half_4")]] kernel decltype(matrix_gru<half, 4>) matrix_gru<half, 4>;
template [[host_name("matrix_gru_float_1")]] kernel decltype(matrix_gru<float, 1>) matrix_gru<float, 1>;
template [[host_name("matrix_gru_float_4")]] kernel decltype(matrix_gru<float, 4>) matrix_gru<float, 4>;
