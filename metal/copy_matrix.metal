// Copies matrices, from and to either element type; as many as the table has, one in each plane of the grid.
#include <metal_stdlib>
using namespace metal;
#include "params.h"

// mpsrnn_matrix_copy of params.h, with pointers in place of addresses.
struct matrix_copy {
    device const uchar *from;
    device uchar *to;
    uint from_stride, to_stride;
    uint from_half, to_half;
    uint rows, columns;
};
static_assert(sizeof(matrix_copy) == MPSRNN_MATRIX_COPY_SIZE, "the layout of mpsrnn_matrix_copy in params.h");

// One row from column `first` to column `last`.
template <typename T, typename S>
static inline void copy_row(device T *to, device const S *from, uint first, uint last)
{
    for (uint column = first; column < last; ++column) {
        to[column] = T(from[column]);
    }
}

kernel void copy_matrix(
    device const matrix_copy *copies [[buffer(MPSRNN_BUFFER_JOBS)]],
    uint3 at [[thread_position_in_grid]])
{
    device const matrix_copy &c = copies[at.z];
    if (at.y >= c.rows) {
        return;
    }
    const uint first = at.x * MPSRNN_COLUMNS_PER_THREAD;
    const uint last = min(first + MPSRNN_COLUMNS_PER_THREAD, c.columns);
    const ulong from = ulong(at.y) * c.from_stride;
    const ulong to = ulong(at.y) * c.to_stride;
    if (c.from_half != 0) {
        device const half *source = (device const half *)c.from + from;
        if (c.to_half != 0) {
            copy_row<half, half>((device half *)c.to + to, source, first, last);
        } else {
            copy_row<float, half>((device float *)c.to + to, source, first, last);
        }
    } else {
        device const float *source = (device const float *)c.from + from;
        if (c.to_half != 0) {
            copy_row<half, float>((device half *)c.to + to, source, first, last);
        } else {
            copy_row<float, float>((device float *)c.to + to, source, first, last);
        }
    }
}
