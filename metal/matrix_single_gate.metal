// Single gate over rows of a matrix: h1 = g(W x + U h0 + b). One phase.
#include <metal_stdlib>
using namespace metal;
#include "matrix_cell.h"

constant uint NEURON [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];

template <typename T, int ROWS>
static inline void run_gate(device const matrix_step &step, constant mpsrnn_cell_params &p,
                            device const vec<T, 4> *weights, device const float4 *channels, place at)
{
    row_sums<1, ROWS> sums;
    start_sums<1, ROWS>(sums, channels, at);
    add_input<T, 1, ROWS>(sums, step, weights, at, p);
    add_product<T, float, 1, ROWS>(sums, step.output_in, step.output_in_stride, step.state_rows, p.channels,
                                   p.terms[1], weights, at);
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        if (row < step.rows) {
            if (KEEPS_SUMS) {
                step.sums[sum_index(row, 1, 0, at, p)] = sums.gate[0][i];
            }
            store_output(step, activate<1>(NEURON, sums.gate[0][i], 0, channels, p, at.slice), row, at, p);
        } else if (row < step.state_rows) {
            store_state(step, load_state(step.output_in, step.output_in_stride, step.state_rows, i, at, p), row, at, p);
        }
    }
}

template <typename T, int ROWS>
kernel void matrix_single_gate(
    constant mpsrnn_matrix_run  &run      [[buffer(MPSRNN_BUFFER_RUN)]],
    device const matrix_step    *steps    [[buffer(MPSRNN_BUFFER_STEPS)]],
    constant mpsrnn_cell_params &p        [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>      *weights  [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const float4         *channels [[buffer(MPSRNN_BUFFER_CHANNELS)]],
    uint2 position [[thread_position_in_grid]],
    uint2 size     [[threads_per_grid]])
{
    place at;
    at.row = position.y * ROWS;
    for (uint t = run.first_step; t < run.last_step; ++t) {
        for (at.slice = position.x; at.slice < p.slices; at.slice += size.x) {
            run_gate<T, ROWS>(steps[t], p, weights, channels, at);
        }
        threadgroup_barrier(mem_flags::mem_device);
    }
}

template [[host_name("matrix_single_gate_half_1")]]
kernel decltype(matrix_single_gate<half, 1>) matrix_single_gate<half, 1>;
template [[host_name("matrix_single_gate_half_4")]]
kernel decltype(matrix_single_gate<half, 4>) matrix_single_gate<half, 4>;
template [[host_name("matrix_single_gate_float_1")]]
kernel decltype(matrix_single_gate<float, 1>) matrix_single_gate<float, 1>;
template [[host_name("matrix_single_gate_float_4")]]
kernel decltype(matrix_single_gate<float, 4>) matrix_single_gate<float, 4>;
