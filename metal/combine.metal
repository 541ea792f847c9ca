// Joins the results of the forward and the backward pass of a bidirectional sequence.
#include <metal_stdlib>
using namespace metal;
#include "params.h"

static inline bool is_outside(uint3 at, constant mpsrnn_combine_params &p)
{
    return at.x >= p.width || at.y >= p.height;
}

// Both have the same channels.
kernel void combine_add(
    texture2d_array<float, access::read>  forward     [[texture(MPSRNN_TEXTURE_FORWARD)]],
    texture2d_array<float, access::read>  backward    [[texture(MPSRNN_TEXTURE_BACKWARD)]],
    texture2d_array<float, access::write> destination [[texture(MPSRNN_TEXTURE_DESTINATION)]],
    constant mpsrnn_combine_params &p [[buffer(MPSRNN_BUFFER_PARAMS)]],
    uint3 at [[thread_position_in_grid]])
{
    if (!is_outside(at, p)) {
        destination.write(forward.read(at.xy, at.z) + backward.read(at.xy, at.z), at.xy, at.z);
    }
}

// Forward channels first. Where their number is no multiple of 4, a slice of the result has channels of both.
kernel void combine_concatenate(
    texture2d_array<float, access::read>  forward     [[texture(MPSRNN_TEXTURE_FORWARD)]],
    texture2d_array<float, access::read>  backward    [[texture(MPSRNN_TEXTURE_BACKWARD)]],
    texture2d_array<float, access::write> destination [[texture(MPSRNN_TEXTURE_DESTINATION)]],
    constant mpsrnn_combine_params &p [[buffer(MPSRNN_BUFFER_PARAMS)]],
    uint3 at [[thread_position_in_grid]])
{
    if (is_outside(at, p)) {
        return;
    }
    const uint slices = (p.forward_channels + p.backward_channels + 3) / 4;
    const uint image = at.z / slices;
    const uint first = at.z % slices * 4;
    float4 value = float4(0.0f);
    for (uint k = 0; k < 4; ++k) {
        const uint channel = first + k;
        const uint other = channel - p.forward_channels;
        if (channel < p.forward_channels) {
            value[k] = forward.read(at.xy, image * ((p.forward_channels + 3) / 4) + channel / 4)[channel % 4];
        } else if (other < p.backward_channels) {
            value[k] = backward.read(at.xy, image * ((p.backward_channels + 3) / 4) + other / 4)[other % 4];
        }
    }
    destination.write(value, at.xy, at.z);
}
