// The multiplication that everything is made of: rows of values by a panel of weights.
#ifndef TWIN_MULTIPLY_H
#define TWIN_MULTIPLY_H
#include "vector.h"

namespace {
namespace twin {

// What one multiplication reads and writes. Value (row, k) lies at values[k / 4 * slice_step + row * 4 + k % 4], weight
// (k, output) at weights[k * PANEL + output], sum (row, output) at sums[row * row_step + output].
struct product {
    const float *weights, *values, *next;   // `next`: what will be multiplied by next, to be fetched meanwhile
    size_t slice_step, row_step;
    int depth;                              // number of k
    bool adds;                              // to the sums that are there
    float *sums;
};

template <int COUNT> TWIN_INLINE void multiply_rows(const product &p, int row)
{
    vf sum[COUNT][VECTORS];
    float *to = p.sums + row * p.row_step;
    for (int i = 0; i < COUNT; ++i)
        for (int v = 0; v < VECTORS; ++v)
            sum[i][v] = p.adds ? load(to + i * p.row_step + v * LANES) : vf{};
    const float *weights = p.weights, *values = p.values + row * 4;
    int k = 0;
    for (; k + 4 <= p.depth; k += 4) {
#pragma GCC unroll 4
        for (int component = 0; component < 4; ++component) {
            vf w[VECTORS];
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                w[v] = load(weights + v * LANES);
#pragma GCC unroll 8
            for (int i = 0; i < COUNT; ++i) {
                const vf value = broadcast(values[i * 4 + component]);
#pragma GCC unroll 8
                for (int v = 0; v < VECTORS; ++v)
                    sum[i][v] += w[v] * value;
            }
            weights += PANEL;
        }
        values += p.slice_step;
    }
    for (int component = 0; k < p.depth; ++k, ++component) {
        for (int i = 0; i < COUNT; ++i) {
            const vf value = broadcast(values[i * 4 + component]);
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; ++v)
                sum[i][v] += load(weights + v * LANES) * value;
        }
        weights += PANEL;
    }
    for (int i = 0; i < COUNT; ++i)
        for (int v = 0; v < VECTORS; ++v)
            store(to + i * p.row_step + v * LANES, sum[i][v]);
}

// Rows in blocks of ROWS; what is left over in blocks as even as possible.
inline void multiply(const product &p, int rows)
{
    int row = 0;
    while (row < rows) {
        const int left = rows - row;
        const int blocks = (left + ROWS - 1) / ROWS;
        const int count = (left + blocks - 1) / blocks;
        switch (count) {
        case 6: multiply_rows<6>(p, row); break;
        case 5: multiply_rows<5>(p, row); break;
        case 4: multiply_rows<4>(p, row); break;
        case 3: multiply_rows<3>(p, row); break;
        case 2: multiply_rows<2>(p, row); break;
        default: multiply_rows<1>(p, row); break;
        }
        row += count;
    }
}

} // namespace twin
} // namespace
#endif
