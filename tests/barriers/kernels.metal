// Kernels whose threads work together, and some whose threads do not as they should.
#include <metal_stdlib>
using namespace metal;

static inline float sum_of_block(threadgroup float *values, uint index, uint count)
{
    for (uint stride = count / 2; stride > 0; stride /= 2) {
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (index < stride) {
            values[index] += values[index + stride];
        }
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    return values[0];
}

// The sum of a threadgroup's elements, a power of two; thread 0 adds the element of the last thread in the tile.
template <typename T, int N>
kernel void block_sums(device const T *in [[buffer(0)]], device float *out [[buffer(1)]],
                       uint i [[thread_index_in_threadgroup]], uint2 group [[threadgroup_position_in_grid]],
                       uint3 threads [[threads_per_threadgroup]], uint2 groups [[threadgroups_per_grid]])
{
    threadgroup float values[N];
    threadgroup float tile[2][N];
    threadgroup T last;
    const uint count = threads.x * threads.y * threads.z;
    const uint first = (group.y * groups.x + group.x) * count;
    values[i] = float(in[first + i]);
    tile[i % 2][i] = values[i];
    if (i + 1 == count) {
        last = in[first + i];
    }
    const float total = sum_of_block(values, i, count);
    const uint mirrored = count - 1 - i;
    out[first + i] = total + 1000 * tile[mirrored % 2][mirrored] + 1e6f * float(last);
}

template [[host_name("block_sums_half")]] kernel decltype(block_sums<half, 64>) block_sums<half, 64>;
template [[host_name("block_sums_float")]] kernel decltype(block_sums<float, 1024>) block_sums<float, 1024>;

// Every thread rotates the list by one, through device memory, `rounds` times.
kernel void rotate(device uint *list [[buffer(0)]], constant uint &rounds [[buffer(1)]],
                   uint3 at [[thread_position_in_threadgroup]], uint3 size [[threads_per_threadgroup]])
{
    const uint count = size.x * size.y * size.z;
    const uint i = (at.z * size.y + at.y) * size.x + at.x;
    for (uint round = 0; round < rounds; ++round) {
        const uint next = list[(i + 1) % count];
        threadgroup_barrier(mem_flags::mem_device | mem_flags::mem_threadgroup);
        list[i] = next;
        threadgroup_barrier(mem_flags::mem_device);
    }
}

// Memory that the host asked for: each thread writes its place in two arrays and reads its neighbour's.
kernel void exchange(threadgroup uint *first [[threadgroup(0)]], threadgroup float &one [[threadgroup(3)]],
                     threadgroup ushort *second [[threadgroup(1)]], device uint *out [[buffer(0)]],
                     constant uint &shift [[buffer(1)]], uint i [[thread_index_in_threadgroup]],
                     uint count [[threads_per_threadgroup]])
{
    threadgroup uint own;
    first[i] = 10 * i;
    second[i + shift] = ushort(i);
    if (i == 0) {
        one = 0.5;
        own = 7;
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    const uint next = (i + 1) % count;
    out[i] = first[next] + 1000 * uint(second[next]) + uint(one * 2e6f) + 10000000 * own;
}

// Reads what nobody wrote: NaN, whoever used the memory before.
kernel void read_uninitialised(device uint *out [[buffer(0)]], uint i [[thread_index_in_threadgroup]],
                               uint group [[threadgroup_position_in_grid]])
{
    threadgroup uint values[8];
    out[group * 8 + i] = values[i];
    threadgroup_barrier(mem_flags::mem_none);
    values[i] = i;
}

// Much on the stack: it must survive the barriers.
kernel void deep(device float *out [[buffer(0)]], uint i [[thread_index_in_threadgroup]],
                 uint at [[thread_position_in_grid]])
{
    float values[8192];
    for (uint k = 0; k < 8192; ++k) {
        values[k] = float(k + i);
    }
    threadgroup_barrier(mem_flags::mem_none);
    float total = 0;
    for (uint k = 0; k < 8192; k += 64) {
        total += values[(k * 37 + i) % 8192] - float(i);
    }
    threadgroup_barrier(mem_flags::mem_none);
    out[at] = total + values[i];
}

// Threads from `limit` on end early, if `early`, else pass a barrier more.
kernel void diverge(device uint *out [[buffer(0)]], constant uint &limit [[buffer(1)]],
                    constant uint &early [[buffer(2)]], uint i [[thread_index_in_threadgroup]],
                    uint at [[thread_position_in_grid]])
{
    threadgroup_barrier(mem_flags::mem_none);
    if (i >= limit && early) {
        return;
    }
    threadgroup_barrier(mem_flags::mem_none);
    if (i >= limit) {
        threadgroup_barrier(mem_flags::mem_none);
    }
    out[at] = 1;
}

// There should be a barrier where it says so.
kernel void race(device uint *list [[buffer(0)]], uint i [[thread_index_in_threadgroup]],
                 uint count [[threads_per_threadgroup]])
{
    threadgroup uint values[64];
    values[i] = i;
    list[i] = values[(i + 1) % count];      // barrier missing before
    threadgroup_barrier(mem_flags::mem_none);
}
