// Gradient of the single gate (matrix_single_gate.metal). With d1 = dL/dh1 in two phases:
//     da = d1 g'(a);   dL/dh0 = da U
#include <metal_stdlib>
using namespace metal;
#include "gradient.h"

constant uint NEURON [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];

template <int ROWS>
static inline void run_gate(device const gradient_step &step, device const float4 *channels, place at,
                            constant mpsrnn_cell_params &p)
{
    for (uint row = at.row; row < min(at.row + ROWS, step.rows); ++row) {
        const float4 sum = gate_sum(step, row, 1, 0, at, p);
        const float4 derivative = activate_gradient<1>(NEURON, sum, 0, channels, p, at.slice);
        store_delta(step, output_gradient(step, row, at, p) * derivative, row, 1, 0, at, p);
    }
}

// Rows that had ended before this step hand on what they got.
template <typename T, int ROWS>
static inline void run_carry(device const gradient_step &step, device const vec<T, 4> *weights, place at,
                             constant mpsrnn_cell_params &p, constant mpsrnn_gradient_params &g)
{
    row_values<ROWS> output = zero_rows<ROWS>();
    add_back<T, ROWS>(output, step, 1, 0, g.recurrent[0], weights, at, p);
    for (int i = 0; i < ROWS && at.row + uint(i) < g.rows; ++i) {
        const uint row = at.row + uint(i);
        const ulong index = own_index(row, at, p);
        step.carry_output[index] = row < step.rows ? output.row[i] : step.carry_output_in[index];
    }
}

template <typename T, int ROWS>
kernel void single_gate_gradient(
    constant mpsrnn_cell_params     &p        [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>          *weights  [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const float4             *channels [[buffer(MPSRNN_BUFFER_CHANNELS)]],
    constant mpsrnn_matrix_run      &run      [[buffer(MPSRNN_BUFFER_RUN)]],
    device const gradient_step      *steps    [[buffer(MPSRNN_BUFFER_STEPS)]],
    constant mpsrnn_gradient_params &g        [[buffer(MPSRNN_BUFFER_GRADIENT_PARAMS)]],
    uint2 position [[thread_position_in_grid]],
    uint2 size     [[threads_per_grid]])
{
    place at;
    at.row = position.y * ROWS;
    for (uint t = run.last_step; t > run.first_step; --t) {
        for (uint phase = run.first_phase; phase < run.last_phase; ++phase) {
            for (at.slice = position.x; at.slice < p.slices; at.slice += size.x) {
                if (phase == 0) {
                    run_gate<ROWS>(steps[t - 1], channels, at, p);
                } else {
                    run_carry<T, ROWS>(steps[t - 1], weights, at, p, g);
                }
            }
            threadgroup_barrier(mem_flags::mem_device);
        }
    }
}

template [[host_name("single_gate_gradient_half_1")]]
kernel decltype(single_gate_gradient<half, 1>) single_gate_gradient<half, 1>;
template [[host_name("single_gate_gradient_half_4")]]
kernel decltype(single_gate_gradient<half, 4>) single_gate_gradient<half, 4>;
template [[host_name("single_gate_gradient_float_1")]]
kernel decltype(single_gate_gradient<float, 1>) single_gate_gradient<float, 1>;
template [[host_name("single_gate_gradient_float_4")]]
kernel decltype(single_gate_gradient<float, 4>) single_gate_gradient<float, 4>;
