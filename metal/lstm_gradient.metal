// Gradient of long short-term memory (matrix_lstm.metal). With d1 = dL/dh1, dc = dL/dc1 from the next step, in phases:
//     da_o = d1 gh(c1) go'
//     dc1 = dc + d1 o gh'(c1) + da_o Vo;  da_i = dc1 c gi',  da_f = dc1 c0 gf',  da_c = dc1 i gc'
//     dL/dh0 = sum of da U;  dL/dc0 = dc1 f + da_i Vi + da_f Vf + da_c Vc
// The first is part of the second, except when Vo is a matrix: then da_o is needed whole.
#include <metal_stdlib>
using namespace metal;
#include "gradient.h"

constant uint NEURON_0      [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];
constant uint NEURON_1      [[function_constant(MPSRNN_CONSTANT_NEURON_1)]];
constant uint NEURON_2      [[function_constant(MPSRNN_CONSTANT_NEURON_2)]];
constant uint NEURON_3      [[function_constant(MPSRNN_CONSTANT_NEURON_3)]];
constant uint NEURON_OUTPUT [[function_constant(MPSRNN_CONSTANT_NEURON_OUTPUT)]];
constant bool HAS_PEEPHOLE  [[function_constant(MPSRNN_CONSTANT_HAS_PEEPHOLE)]];
constant bool SPLITS_OUTPUT [[function_constant(MPSRNN_CONSTANT_SPLITS_OUTPUT)]];

// What a gate's diagonal peephole carries back, da V.
static inline float4 peephole(int gate, float4 delta, device const float4 *channels, uint slice)
{
    return HAS_PEEPHOLE ? channel_row<4>(channels, gate, MPSRNN_CHANNEL_PEEPHOLE, slice) * delta : float4(0.0f);
}

static inline void output_gate(device const gradient_step &step, device const float4 *channels, uint row, place at,
                               constant mpsrnn_cell_params &p)
{
    const float4 c1 = step.memory[own_index(row, at, p)];
    const float4 sum = gate_sum(step, row, 4, MPSRNN_GATE_OUTPUT, at, p);
    const float4 output = neuron(NEURON_OUTPUT, c1, float4(p.output_a), p.output_neuron.b, p.output_neuron.c);
    const float4 derivative = activate_gradient<4>(NEURON_3, sum, MPSRNN_GATE_OUTPUT, channels, p, at.slice);
    const float4 delta = output_gradient(step, row, at, p) * output * derivative;
    store_delta(step, delta, row, 4, MPSRNN_GATE_OUTPUT, at, p);
}

// The other gates; what of dL/dc0 does not come through them waits in the carry.
static inline void memory_gates(device const gradient_step &step, float4 from_output, device const float4 *channels,
                                uint row, place at, constant mpsrnn_cell_params &p)
{
    const ulong index = own_index(row, at, p);
    const float4 sum_i = gate_sum(step, row, 4, MPSRNN_GATE_INPUT, at, p);
    const float4 sum_f = gate_sum(step, row, 4, MPSRNN_GATE_FORGET, at, p);
    const float4 sum_c = gate_sum(step, row, 4, MPSRNN_GATE_CELL, at, p);
    const float4 sum_o = gate_sum(step, row, 4, MPSRNN_GATE_OUTPUT, at, p);
    const float4 in = activate<4>(NEURON_0, sum_i, MPSRNN_GATE_INPUT, channels, p, at.slice);
    const float4 forget = activate<4>(NEURON_1, sum_f, MPSRNN_GATE_FORGET, channels, p, at.slice);
    const float4 cell = activate<4>(NEURON_2, sum_c, MPSRNN_GATE_CELL, channels, p, at.slice);
    const float4 out = activate<4>(NEURON_3, sum_o, MPSRNN_GATE_OUTPUT, channels, p, at.slice);
    const float4 derivative = neuron_gradient(NEURON_OUTPUT, step.memory[index], float4(p.output_a),
                                              p.output_neuron.b, p.output_neuron.c);
    const float4 dc1 = step.carry_memory_in[index] + output_gradient(step, row, at, p) * out * derivative + from_output;
    const float4 da_i = dc1 * cell * activate_gradient<4>(NEURON_0, sum_i, MPSRNN_GATE_INPUT, channels, p, at.slice);
    const float4 da_f = dc1 * step.memory_in[index]
                      * activate_gradient<4>(NEURON_1, sum_f, MPSRNN_GATE_FORGET, channels, p, at.slice);
    const float4 da_c = dc1 * in * activate_gradient<4>(NEURON_2, sum_c, MPSRNN_GATE_CELL, channels, p, at.slice);
    store_delta(step, da_i, row, 4, MPSRNN_GATE_INPUT, at, p);
    store_delta(step, da_f, row, 4, MPSRNN_GATE_FORGET, at, p);
    store_delta(step, da_c, row, 4, MPSRNN_GATE_CELL, at, p);
    step.carry_memory[index] = only_channels(dc1 * forget, at, p);
}

template <typename T, int ROWS>
static inline void run_gates(device const gradient_step &step, device const vec<T, 4> *weights,
                             device const float4 *channels, place at, constant mpsrnn_cell_params &p,
                             constant mpsrnn_gradient_params &g)
{
    row_values<ROWS> from_output = zero_rows<ROWS>();
    if (SPLITS_OUTPUT) {
        add_back<T, ROWS>(from_output, step, 4, MPSRNN_GATE_OUTPUT, g.memory[MPSRNN_GATE_OUTPUT], weights, at, p);
    }
    for (int i = 0; i < ROWS; ++i) {
        const uint row = at.row + uint(i);
        if (row >= step.rows) {
            continue;
        }
        if (!SPLITS_OUTPUT) {
            output_gate(step, channels, row, at, p);
        }
        const float4 delta = step.delta[sum_index(row, 4, MPSRNN_GATE_OUTPUT, at, p)];
        from_output.row[i] += peephole(MPSRNN_GATE_OUTPUT, delta, channels, at.slice);
        memory_gates(step, from_output.row[i], channels, row, at, p);
    }
}

// The state before the step; rows that had ended before hand on what they got.
template <typename T, int ROWS>
static inline void run_carry(device const gradient_step &step, device const vec<T, 4> *weights,
                             device const float4 *channels, place at, constant mpsrnn_cell_params &p,
                             constant mpsrnn_gradient_params &g)
{
    row_values<ROWS> output = zero_rows<ROWS>();
    row_values<ROWS> memory = zero_rows<ROWS>();
    for (int gate = 0; gate < 4; ++gate) {
        add_back<T, ROWS>(output, step, 4, gate, g.recurrent[gate], weights, at, p);
        if (gate != MPSRNN_GATE_OUTPUT) {
            add_back<T, ROWS>(memory, step, 4, gate, g.memory[gate], weights, at, p);
        }
    }
    for (int i = 0; i < ROWS && at.row + uint(i) < g.rows; ++i) {
        const uint row = at.row + uint(i);
        const ulong index = own_index(row, at, p);
        if (row >= step.rows) {
            step.carry_output[index] = step.carry_output_in[index];
            step.carry_memory[index] = step.carry_memory_in[index];
            continue;
        }
        float4 carry = step.carry_memory[index] + memory.row[i];
        for (int gate = 0; gate < MPSRNN_GATE_OUTPUT; ++gate) {
            carry += peephole(gate, step.delta[sum_index(row, 4, gate, at, p)], channels, at.slice);
        }
        step.carry_output[index] = output.row[i];
        step.carry_memory[index] = carry;
    }
}

template <typename T, int ROWS>
kernel void lstm_gradient(
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
                    for (uint row = at.row; row < min(at.row + ROWS, steps[t - 1].rows); ++row) {
                        output_gate(steps[t - 1], channels, row, at, p);
                    }
                } else if (phase == 1) {
                    run_gates<T, ROWS>(steps[t - 1], weights, channels, at, p, g);
                } else {
                    run_carry<T, ROWS>(steps[t - 1], weights, channels, at, p, g);
                }
            }
            threadgroup_barrier(mem_flags::mem_device);
        }
    }
}

template [[host_name("lstm_gradient_half_1")]] kernel decltype(lstm_gradient<half, 1>) lstm_gradient<half, 1>;
template [[host_name("lstm_gradient_half_4")]] kernel decltype(lstm_gradient<half, 4>) lstm_gradient<half, 4>;
template [[host_name("lstm_gradient_float_1")]] kernel decltype(lstm_gradient<float, 1>) lstm_gradient<float, 1>;
template [[host_name("lstm_gradient_float_4")]] kernel decltype(lstm_gradient<float, 4>) lstm_gradient<float, 4>;
