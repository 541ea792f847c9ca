// Gradient of the gated recurrent unit (matrix_gru.metal). With d1 = dL/dh1 and ds = ds/dz in three phases:
//     dh = d1 s,  flipped: d1 z;              da_h = dh gh'
//     dz = d1 (h0 + h ds) + (da_h Vh) h0,  flipped: d1 (h + h0 ds) + ...;     da_z = dz gz'
//     dr = (da_h Uh) h0;                      da_r = dr gr'
//     dL/dh0 = d1 z + (da_h Uh) r + (da_h Vh) z + da_z Uz + da_r Ur,  flipped: d1 s + ...
// For p > 1, ds is infinite where z is 1.
#include <metal_stdlib>
using namespace metal;
#include "gradient.h"

constant uint NEURON_0 [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];
constant uint NEURON_1 [[function_constant(MPSRNN_CONSTANT_NEURON_1)]];
constant uint NEURON_2 [[function_constant(MPSRNN_CONSTANT_NEURON_2)]];
constant bool FLIP     [[function_constant(MPSRNN_CONSTANT_FLIP)]];
constant bool P_NORM   [[function_constant(MPSRNN_CONSTANT_P_NORM)]];

#define CANDIDATE 2     // the gate that follows MPSRNN_GATE_UPDATE and MPSRNN_GATE_RESET

static inline float4 complement(float4 z, constant mpsrnn_cell_params &p)
{
    return P_NORM ? pow(1.0f - pow(z, float4(p.p_norm)), float4(1.0f / p.p_norm)) : 1.0f - z;
}

static inline float4 complement_gradient(float4 z, constant mpsrnn_cell_params &p)
{
    if (!P_NORM) {
        return float4(-1.0f);
    }
    return -pow(z, float4(p.p_norm - 1.0f)) * pow(1.0f - pow(z, float4(p.p_norm)), float4(1.0f / p.p_norm - 1.0f));
}

template <int ROWS>
static inline void run_candidate(device const gradient_step &step, device const float4 *channels, place at,
                                 constant mpsrnn_cell_params &p)
{
    for (uint row = at.row; row < min(at.row + ROWS, step.rows); ++row) {
        const float4 sum_z = gate_sum(step, row, 3, MPSRNN_GATE_UPDATE, at, p);
        const float4 sum_h = gate_sum(step, row, 3, CANDIDATE, at, p);
        const float4 z = activate<3>(NEURON_0, sum_z, MPSRNN_GATE_UPDATE, channels, p, at.slice);
        const float4 share = FLIP ? z : complement(z, p);
        const float4 derivative = activate_gradient<3>(NEURON_2, sum_h, CANDIDATE, channels, p, at.slice);
        store_delta(step, output_gradient(step, row, at, p) * share * derivative, row, 3, CANDIDATE, at, p);
    }
}

// The gates of one row; what of dL/dh0 does not come through them waits in the carry.
static inline void gates_of_row(device const gradient_step &step, float4 from_reset, float4 from_updated,
                                device const float4 *channels, uint row, place at, constant mpsrnn_cell_params &p)
{
    const ulong index = own_index(row, at, p);
    const float4 sum_z = gate_sum(step, row, 3, MPSRNN_GATE_UPDATE, at, p);
    const float4 sum_r = gate_sum(step, row, 3, MPSRNN_GATE_RESET, at, p);
    const float4 sum_h = gate_sum(step, row, 3, CANDIDATE, at, p);
    const float4 z = activate<3>(NEURON_0, sum_z, MPSRNN_GATE_UPDATE, channels, p, at.slice);
    const float4 r = activate<3>(NEURON_1, sum_r, MPSRNN_GATE_RESET, channels, p, at.slice);
    const float4 h = activate<3>(NEURON_2, sum_h, CANDIDATE, channels, p, at.slice);
    const float4 h0 = step.output_in[index];
    const float4 d1 = output_gradient(step, row, at, p);
    const float4 ds = complement_gradient(z, p);
    const float4 dz = d1 * (FLIP ? h + h0 * ds : h0 + h * ds) + from_updated * h0;
    const float4 dr = from_reset * h0;
    const float4 da_z = dz * activate_gradient<3>(NEURON_0, sum_z, MPSRNN_GATE_UPDATE, channels, p, at.slice);
    const float4 da_r = dr * activate_gradient<3>(NEURON_1, sum_r, MPSRNN_GATE_RESET, channels, p, at.slice);
    store_delta(step, da_z, row, 3, MPSRNN_GATE_UPDATE, at, p);
    store_delta(step, da_r, row, 3, MPSRNN_GATE_RESET, at, p);
    const float4 direct = d1 * (FLIP ? complement(z, p) : z);
    step.carry_output[index] = only_channels(direct + from_reset * r + from_updated * z, at, p);
}

template <typename T, int ROWS>
static inline void run_gates(device const gradient_step &step, device const vec<T, 4> *weights,
                             device const float4 *channels, place at, constant mpsrnn_cell_params &p,
                             constant mpsrnn_gradient_params &g)
{
    row_values<ROWS> from_reset = zero_rows<ROWS>();
    row_values<ROWS> from_updated = zero_rows<ROWS>();
    add_back<T, ROWS>(from_reset, step, 3, CANDIDATE, g.recurrent[CANDIDATE], weights, at, p);
    add_back<T, ROWS>(from_updated, step, 3, CANDIDATE, g.memory[CANDIDATE], weights, at, p);
    for (int i = 0; i < ROWS && at.row + uint(i) < step.rows; ++i) {
        gates_of_row(step, from_reset.row[i], from_updated.row[i], channels, at.row + uint(i), at, p);
    }
}

// The state before the step; rows that had ended before hand on what they got.
template <typename T, int ROWS>
static inline void run_carry(device const gradient_step &step, device const vec<T, 4> *weights, place at,
                             constant mpsrnn_cell_params &p, constant mpsrnn_gradient_params &g)
{
    row_values<ROWS> output = zero_rows<ROWS>();
    for (int gate = 0; gate < CANDIDATE; ++gate) {
        add_back<T, ROWS>(output, step, 3, gate, g.recurrent[gate], weights, at, p);
    }
    for (int i = 0; i < ROWS && at.row + uint(i) < g.rows; ++i) {
        const uint row = at.row + uint(i);
        const ulong index = own_index(row, at, p);
        step.carry_output[index] = row < step.rows ? step.carry_output[index] + output.row[i]
                                                   : step.carry_output_in[index];
    }
}

template <typename T, int ROWS>
kernel void gru_gradient(
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
                    run_candidate<ROWS>(steps[t - 1], channels, at, p);
                } else if (phase == 1) {
                    run_gates<T, ROWS>(steps[t - 1], weights, channels, at, p, g);
                } else {
                    run_carry<T, ROWS>(steps[t - 1], weights, at, p, g);
                }
            }
            threadgroup_barrier(mem_flags::mem_device);
        }
    }
}

template [[host_name("gru_gradient_half_1")]] kernel decltype(gru_gradient<half, 1>) gru_gradient<half, 1>;
template [[host_name("gru_gradient_half_4")]] kernel decltype(gru_gradient<half, 4>) gru_gradient<half, 4>;
template [[host_name("gru_gradient_float_1")]] kernel decltype(gru_gradient<float, 1>) gru_gradient<float, 1>;
template [[host_name("gru_gradient_float_4")]] kernel decltype(gru_gradient<float, 4>) gru_gradient<float, 4>;
