// Single gate: h1 = g(W*x + U*h0 + b).
#include <metal_stdlib>
using namespace metal;
#include "cell.h"

constant uint NEURON [[function_constant(MPSRNN_CONSTANT_NEURON_0)]];

template <typename T>
kernel void single_gate(
    texture2d_array<float, access::read>  source      [[texture(MPSRNN_TEXTURE_SOURCE)]],
    texture2d_array<float, access::read>  output_in
        [[texture(MPSRNN_TEXTURE_OUTPUT_IN), function_constant(HAS_RECURRENT)]],
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
        add_convolution<T, 1>(sums, output_in, p.terms[1], weights, taps, p, at);
    }
    for (int i = 0; i < MPSRNN_PIXELS_PER_THREAD; ++i) {
        if (has_pixel(at, i, p)) {
            const float4 h1 = activate<1>(NEURON, sums.gate[0][i], 0, channels, p, at);
            if (KEEPS_OUTPUT) {
                store(output, h1, i, at, p);
            }
            if (HAS_DESTINATION) {
                store(destination, h1, i, at, p);
            }
        }
    }
}

template [[host_name("single_gate_half")]] kernel decltype(single_gate<half>) single_gate<half>;
template [[host_name("single_gate_float")]] kernel decltype(single_gate<float>) single_gate<float>;
