// Long short-term memory:
//     i = gi(Wi*x + Ui*h0 + Vi*c0 + bi), f and c likewise;  c1 = f c0 + i c
//     o = go(Wo*x + Uo*h0 + Vo*c1 + bo)   (the new cell);   h1 = o gh(c1)
// One dispatch, except when Vo is a convolution: it needs c1 of other pixels and channels, so `lstm_output` follows.
#include <metal_stdlib>
using namespace metal;
#include "cell.h"

constant uint NEURON_0      [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];
constant uint NEURON_1      [[function_constant(MPSRNN_CONSTANT_NEURON_1)]];
constant uint NEURON_2      [[function_constant(MPSRNN_CONSTANT_NEURON_2)]];
constant uint NEURON_3      [[function_constant(MPSRNN_CONSTANT_NEURON_3)]];
constant uint NEURON_OUTPUT [[function_constant(MPSRNN_CONSTANT_NEURON_OUTPUT)]];
constant bool HAS_PEEPHOLE  [[function_constant(MPSRNN_CONSTANT_HAS_PEEPHOLE)]];
constant bool SPLITS_OUTPUT [[function_constant(MPSRNN_CONSTANT_SPLITS_OUTPUT)]];

// A gate's diagonal peephole, V c.
static inline float4 peephole(int gate, float4 cell, device const float4 *channels, position at)
{
    return HAS_PEEPHOLE ? channel_row<4>(channels, gate, MPSRNN_CHANNEL_PEEPHOLE, at) * cell : float4(0.0f);
}

static inline float4 cell_to_output(float4 cell, constant mpsrnn_cell_params &p)
{
    return neuron(NEURON_OUTPUT, cell, float4(p.output_a), p.output_neuron.b, p.output_neuron.c);
}

template <typename T>
kernel void lstm(
    texture2d_array<float, access::read>  source      [[texture(MPSRNN_TEXTURE_SOURCE)]],
    texture2d_array<float, access::read>  output_in
        [[texture(MPSRNN_TEXTURE_OUTPUT_IN), function_constant(HAS_RECURRENT)]],
    texture2d_array<float, access::read>  memory_in
        [[texture(MPSRNN_TEXTURE_MEMORY_IN), function_constant(HAS_STATE)]],
    texture2d_array<float, access::write> output
        [[texture(MPSRNN_TEXTURE_OUTPUT), function_constant(KEEPS_OUTPUT)]],
    texture2d_array<float, access::write> memory      [[texture(MPSRNN_TEXTURE_MEMORY)]],
    texture2d_array<float, access::write> gate
        [[texture(MPSRNN_TEXTURE_GATE), function_constant(SPLITS_OUTPUT)]],
    texture2d_array<float, access::write> destination
        [[texture(MPSRNN_TEXTURE_DESTINATION), function_constant(HAS_DESTINATION)]],
    constant mpsrnn_cell_params &p        [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>      *weights  [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const short2         *taps     [[buffer(MPSRNN_BUFFER_TAPS)]],
    device const float4         *channels [[buffer(MPSRNN_BUFFER_CHANNELS)]],
    uint3 thread_position [[thread_position_in_grid]])
{
    const position at = position_of(thread_position, p);
    if (is_outside(at, p)) {
        return;
    }
    gate_sums<4> sums;
    start_sums<4>(sums, channels, at);
    add_input<T, 4>(sums, source, p.terms[0], weights, taps, p, at);
    if (HAS_RECURRENT) {
        add_convolution<T, 4>(sums, output_in, p.terms[1], weights, taps, p, at);
    }
    if (HAS_MEMORY) {
        add_convolution<T, 4>(sums, memory_in, p.terms[2], weights, taps, p, at);
    }
    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
        if (!has_pixel(at, i, p)) {
            continue;
        }
        float4 c0 = float4(0.0f);
        if (HAS_STATE) {
            c0 = memory_in.read(pixel(at, i), texture_slice(at, p));
        }
        const float4 sum_i = sums.gate[MPSRNN_GATE_INPUT][i] + peephole(MPSRNN_GATE_INPUT, c0, channels, at);
        const float4 sum_f = sums.gate[MPSRNN_GATE_FORGET][i] + peephole(MPSRNN_GATE_FORGET, c0, channels, at);
        const float4 sum_c = sums.gate[MPSRNN_GATE_CELL][i] + peephole(MPSRNN_GATE_CELL, c0, channels, at);
        const float4 in = activate<4>(NEURON_0, sum_i, MPSRNN_GATE_INPUT, channels, p, at);
        const float4 forget = activate<4>(NEURON_1, sum_f, MPSRNN_GATE_FORGET, channels, p, at);
        const float4 cell = activate<4>(NEURON_2, sum_c, MPSRNN_GATE_CELL, channels, p, at);
        const float4 c1 = forget * c0 + in * cell;
        store(memory, c1, i, at, p);
        const float4 sum_o = sums.gate[MPSRNN_GATE_OUTPUT][i] + peephole(MPSRNN_GATE_OUTPUT, c1, channels, at);
        if (SPLITS_OUTPUT) {
            store(gate, sum_o, i, at, p);
            continue;
        }
        const float4 h1 = activate<4>(NEURON_3, sum_o, MPSRNN_GATE_OUTPUT, channels, p, at) * cell_to_output(c1, p);
        if (KEEPS_OUTPUT) {
            store(output, h1, i, at, p);
        }
        if (HAS_DESTINATION) {
            store(destination, h1, i, at, p);
        }
    }
}

// The output gate with a convolution of the new cell. Its only gate is o, so NEURON_0 is go here.
template <typename T>
kernel void lstm_output(
    texture2d_array<float, access::read>  memory      [[texture(MPSRNN_TEXTURE_MEMORY)]],
    texture2d_array<float, access::read>  gate        [[texture(MPSRNN_TEXTURE_GATE)]],
    texture2d_array<float, access::write> output
        [[texture(MPSRNN_TEXTURE_OUTPUT), function_constant(KEEPS_OUTPUT)]],
    texture2d_array<float, access::write> destination
        [[texture(MPSRNN_TEXTURE_DESTINATION), function_constant(HAS_DESTINATION)]],
    constant mpsrnn_cell_params &p        [[buffer(MPSRNN_BUFFER_PARAMS)]],
    device const vec<T, 4>      *weights  [[buffer(MPSRNN_BUFFER_WEIGHTS)]],
    device const short2         *taps     [[buffer(MPSRNN_BUFFER_TAPS)]],
    device const float4         *channels [[buffer(MPSRNN_BUFFER_CHANNELS)]],
    uint3 thread_position [[thread_position_in_grid]])
{
    const position at = position_of(thread_position, p);
    if (is_outside(at, p)) {
        return;
    }
    gate_sums<1> sums;
    start_sums<1>(sums, channels, at);
    add_convolution<T, 1>(sums, memory, p.terms[0], weights, taps, p, at);
    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
        if (has_pixel(at, i, p)) {
            const float4 sum = sums.gate[0][i] + gate.read(pixel(at, i), texture_slice(at, p));
            const float4 c1 = memory.read(pixel(at, i), texture_slice(at, p));
            const float4 h1 = activate<1>(NEURON_0, sum, 0, channels, p, at) * cell_to_output(c1, p);
            if (KEEPS_OUTPUT) {
                store(output, h1, i, at, p);
            }
            if (HAS_DESTINATION) {
                store(destination, h1, i, at, p);
            }
        }
    }
}

template [[host_name("lstm_half")]] kernel decltype(lstm<half>) lstm<half>;
template [[host_name("lstm_float")]] kernel decltype(lstm<float>) lstm<float>;
template [[host_name("lstm_output_half")]] kernel decltype(lstm_output<half>) lstm_output<half>;
template [[host_name("lstm_output_float")]] kernel decltype(lstm_output<float>) lstm_output<float>;
