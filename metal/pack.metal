// From the matrices of a weight set to what the kernels read: packed weights and per-channel rows (params.h).
#include <metal_stdlib>
using namespace metal;
#include "params.h"

// mpsrnn_pack of params.h, with pointers in place of addresses.
struct pack {
    device const uchar *matrix;
    device uchar *packed;
    uint lane_stride, depth_stride;
    uint lanes, depth;
    uint place, places;
};
static_assert(sizeof(pack) == MPSRNN_PACK_SIZE, "the layout of mpsrnn_pack in params.h");

// Four lanes of column `k` of the sum.
template <typename T>
static inline vec<T, 4> four_lanes(device const pack &p, uint slice, uint k)
{
    device const T *matrix = (device const T *)p.matrix + ulong(k) * p.depth_stride;
    vec<T, 4> value = vec<T, 4>(T(0.0f));
    for (uint i = 0; i < 4; ++i) {
        const uint lane = slice * 4 + i;
        if (lane < p.lanes) {
            value[i] = matrix[ulong(lane) * p.lane_stride];
        }
    }
    return value;
}

// A matrix, in units of four elements [slice of lanes][depth, rounded up to 4][place]; zero past its ends.
template <typename T>
kernel void pack_weights(
    device const pack *packs [[buffer(MPSRNN_BUFFER_JOBS)]],
    uint3 at [[thread_position_in_grid]])
{
    device const pack &p = packs[at.z];
    const uint depth = (p.depth + 3) / 4 * 4;
    if (at.x >= depth || at.y * 4 >= p.lanes) {
        return;
    }
    vec<T, 4> value = vec<T, 4>(T(0.0f));
    if (at.x < p.depth) {
        value = four_lanes<T>(p, at.y, at.x);
    }
    ((device vec<T, 4> *)p.packed)[(ulong(at.y) * depth + at.x) * p.places + p.place] = value;
}

// A vector, as one of the rows of four floats [slice of lanes][place].
template <typename T>
kernel void pack_channels(
    device const pack *packs [[buffer(MPSRNN_BUFFER_JOBS)]],
    uint3 at [[thread_position_in_grid]])
{
    device const pack &p = packs[at.z];
    if (at.x * 4 < p.lanes && at.y == 0) {
        ((device float4 *)p.packed)[ulong(at.x) * p.places + p.place] = float4(four_lanes<T>(p, at.x, 0));
    }
}

template [[host_name("pack_weights_half")]] kernel decltype(pack_weights<half>) pack_weights<half>;
template [[host_name("pack_weights_float")]] kernel decltype(pack_weights<float>) pack_weights<float>;
template [[host_name("pack_channels_half")]] kernel decltype(pack_channels<half>) pack_channels<half>;
template [[host_name("pack_channels_float")]] kernel decltype(pack_channels<float>) pack_channels<float>;
