// Gated recurrent unit, reset before the product, in two dispatches:
//     z = gz(Wz*x + Uz*h0 + bz),  r = gr(Wr*x + Ur*h0 + br)
//     h = gh(Wh*x + Uh*(r h0) + Vh*(z h0) + bh),  s = (1 - z^p)^(1/p)
//     h1 = s h + z h0, flipped: s h0 + z h
#include <metal_stdlib>
using namespace metal;
#include "cell.h"

constant uint NEURON_0 [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];
constant uint NEURON_1 [[function_constant(MPSRNN_CONSTANT_NEURON_1)]];
constant bool FLIP     [[function_constant(MPSRNN_CONSTANT_FLIP)]];
constant bool P_NORM   [[function_constant(MPSRNN_CONSTANT_P_NORM)]];

// The update and reset gates, and their products with the previous output that the candidate convolves.
template <typename T>
kernel void gru_gates(
    texture2d_array<float, access::read>  source    [[texture(MPSRNN_TEXTURE_SOURCE)]],
    texture2d_array<float, access::read>  output_in [[texture(MPSRNN_TEXTURE_OUTPUT_IN), function_constant(HAS_STATE)]],
    texture2d_array<float, access::write> update    [[texture(MPSRNN_TEXTURE_GATE)]],
    texture2d_array<float, access::write> reset     [[texture(MPSRNN_TEXTURE_RESET), function_constant(HAS_RECURRENT)]],
    texture2d_array<float, access::write> updated   [[texture(MPSRNN_TEXTURE_UPDATED), function_constant(HAS_MEMORY)]],
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
    gate_sums<2> sums;
    start_sums<2>(sums, channels, at);
    add_input<T, 2>(sums, source, p.terms[0], weights, taps, p, at);
    if (HAS_STATE) {
        add_convolution<T, 2>(sums, output_in, p.terms[1], weights, taps, p, at);
    }
    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
        if (has_pixel(at, i, p)) {
            const float4 z = activate<2>(NEURON_0, sums.gate[MPSRNN_GATE_UPDATE][i], MPSRNN_GATE_UPDATE, channels,
                                         p, at);
            store(update, z, i, at, p);
            if (HAS_STATE) {
                const float4 h0 = output_in.read(pixel(at, i), texture_slice(at, p));
                if (HAS_RECURRENT) {
                    const float4 r = activate<2>(NEURON_1, sums.gate[MPSRNN_GATE_RESET][i], MPSRNN_GATE_RESET, channels,
                                                 p, at);
                    store(reset, r * h0, i, at, p);
                }
                if (HAS_MEMORY) {
                    store(updated, z * h0, i, at, p);
                }
            }
        }
    }
}

// The candidate and the output.
template <typename T>
kernel void gru_output(
    texture2d_array<float, access::read>  source      [[texture(MPSRNN_TEXTURE_SOURCE)]],
    texture2d_array<float, access::read>  output_in
        [[texture(MPSRNN_TEXTURE_OUTPUT_IN), function_constant(HAS_STATE)]],
    texture2d_array<float, access::read>  update      [[texture(MPSRNN_TEXTURE_GATE)]],
    texture2d_array<float, access::read>  reset
        [[texture(MPSRNN_TEXTURE_RESET), function_constant(HAS_RECURRENT)]],
    texture2d_array<float, access::read>  updated
        [[texture(MPSRNN_TEXTURE_UPDATED), function_constant(HAS_MEMORY)]],
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
    add_input<T, 1>(sums, source, p.terms[0], weights, taps, p, at);
    if (HAS_RECURRENT) {
        add_convolution<T, 1>(sums, reset, p.terms[1], weights, taps, p, at);
    }
    if (HAS_MEMORY) {
        add_convolution<T, 1>(sums, updated, p.terms[2], weights, taps, p, at);
    }
    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
        if (has_pixel(at, i, p)) {
            const float4 h = activate<1>(NEURON_0, sums.gate[0][i], 0, channels, p, at);
            const float4 z = update.read(pixel(at, i), texture_slice(at, p));
            const float4 s = P_NORM ? pow(1.0f - pow(z, float4(p.p_norm)), float4(1.0f / p.p_norm)) : 1.0f - z;
            float4 h0 = float4(0.0f);
            if (HAS_STATE) {
                h0 = output_in.read(pixel(at, i), texture_slice(at, p));
            }
            const float4 h1 = FLIP ? s * h0 + z * h : s * h + z * h0;
            if (KEEPS_OUTPUT) {
                store(output, h1, i, at, p);
            }
            if (HAS_DESTINATION) {
                store(destination, h1, i, at, p);
            }
        }
    }
}

template [[host_name("gru_gates_half")]] kernel decltype(gru_gates<half>) gru_gates<half>;
template [[host_name("gru_gates_float")]] kernel decltype(gru_gates<float>) gru_gates<float>;
template [[host_name("gru_output_half")]] kernel decltype(gru_output<half>) gru_output<half>;
template [[host_name("gru_output_float")]] kernel decltype(gru_output<float>) gru_output<float>;
