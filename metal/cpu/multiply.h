// The multiplication that everything is made of: rows of values by a panel of weights.
#ifndef TWIN_MULTIPLY_H
#define TWIN_MULTIPLY_H
#include "vector.h"

namespace {
namespace twin {

// What one multiplication reads and writes. Value (row, k) lies at values[k / 4 * slice_step + row * 4 + k % 4], weight
// (k, output) at weights[k * outputs + output], sum (row, output) at sums[row * row_step + output].
struct product {
    const float *weights, *values, *next;   // `next`: what will be multiplied by next, to be fetched meanwhile
    size_t slice_step, row_step;
    int depth;                              // number of k
    bool adds;                              // to the sums that are there
    float *sums;
};

// Adds one k to the sums of COUNT rows.
template <int COUNT, int V>
TWIN_INLINE void multiply_step(vf (&sum)[COUNT][V], const float *weights, const float *values)
{
    vf w[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
        w[v] = load(weights + v * LANES);
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i) {
        const vf value = broadcast(values[i * 4]);
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v)
            sum[i][v] += w[v] * value;
    }
}

// Fetches `quarters` quarters of `next` meanwhile.
template <int COUNT, int V>
TWIN_INLINE void multiply_rows(const product &p, int row, const float *next, int quarters)
{
    vf sum[COUNT][V];
    float *to = p.sums + row * p.row_step;
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v)
            sum[i][v] = p.adds ? load(to + i * p.row_step + v * LANES) : vf{};
    const float *weights = p.weights, *values = p.values + row * 4;
    int k = 0;
    for (; k + 4 <= p.depth; k += 4) {
        for (int i = 0; i < quarters; ++i, next += V * LANES)
#pragma GCC unroll 8
            for (int v = 0; v < V; ++v)
                __builtin_prefetch(next + v * LANES, 0, 2);
#pragma GCC unroll 4
        for (int component = 0; component < 4; ++component)
            multiply_step<COUNT, V>(sum, weights + component * V * LANES, values + component);
        weights += 4 * V * LANES;
        values += p.slice_step;
    }
    for (; k < p.depth; ++k) {
        multiply_step<COUNT, V>(sum, weights, values++);
        weights += V * LANES;
    }
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < V; ++v)
            store(to + i * p.row_step + v * LANES, sum[i][v]);
}

// Rows in blocks as even as possible, of as many as leave registers for the rest.
template <int V = VECTORS> inline void multiply(const product &p, int rows)
{
    enum { MOST = V == VECTORS ? int(ROWS) : V == 3 ? 8 * ROWS / 6 : 2 * ROWS };
    const size_t quarter = size_t(p.depth) / 4 * V * LANES;
    const int quarters = rows > 3 * MOST ? 1 : rows > MOST ? 2 : 4;     // for each block, so that none is left out
    int row = 0;
    for (int block = 0; row < rows; ++block) {
        const int left = rows - row;
        const int blocks = (left + MOST - 1) / MOST;
        const int count = (left + blocks - 1) / blocks;
        const float *next = p.next + block * quarters % 4 * quarter;
        switch (count) {
#define CASE(n)                                                                                                       \
    case n:                                                                                                           \
        if constexpr (n <= MOST)                                                                                      \
            multiply_rows<n, V>(p, row, next, quarters);                                                                        \
        break;
            CASE(12) CASE(11) CASE(10) CASE(9) CASE(8) CASE(7) CASE(6) CASE(5) CASE(4) CASE(3) CASE(2) CASE(1)
#undef CASE
        }
        row += count;
    }
}

// By a panel of fewer vectors.
inline void multiply(const product &p, int rows, uint32_t vectors)
{
    switch (vectors) {
    case 1: multiply<1>(p, rows); break;
    case 2: multiply<2>(p, rows); break;
    case 3: multiply<3>(p, rows); break;
    default: multiply<VECTORS>(p, rows); break;
    }
}

} // namespace twin
} // namespace
#endif
