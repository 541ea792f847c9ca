// Rows by panels of weights, the sums of a row always added up in the same order.
#ifndef TWIN_MATRIX_MULTIPLY_H
#define TWIN_MATRIX_MULTIPLY_H
#include "matrix_rows.h"

namespace {
namespace twin {

// Products that are worked off before the next panel's turn: so many rows of weights stay in the first caches.
enum { DEPTH_BLOCK = 256 };
// Cache lines fetched ahead for every four products of a block of rows.
enum { FETCHED_LINES = 3 };

// Value (row, k) lies at values[k / 4 * slice_step + row * 4 + k % 4], weight (k, output) at weights[k * PANEL +
// output], sum (row, output) at sums[row * PANEL + output]. The sums begin with `start`, rows of `start_step` floats.
template <class W> struct matrix_product {
    const W *weights;
    const typename multiplied_with<W>::type *values;
    size_t slice_step;
    uint32_t depth;
    const float *start;
    size_t start_step;
    float *sums;
};

template <int COUNT>
TWIN_INLINE void multiply_few_rows(const matrix_product<float> &p, size_t row, const char *next)
{
    vf sum[COUNT][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v)
            sum[i][v] = load(p.start + (row + i) * p.start_step + v * LANES);
    const float *weights = p.weights, *values = p.values + row * 4;
    uint32_t k = 0;
    for (; k + 4 <= p.depth; k += 4) {
#pragma GCC unroll 4
        for (int line = 0; line < FETCHED_LINES; ++line)
            __builtin_prefetch(next + line * 64, 0, 2);
        next += FETCHED_LINES * 64;
#pragma GCC unroll 4
        for (int component = 0; component < 4; ++component) {
            vf w[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v)
                w[v] = load(weights + v * LANES);
#pragma GCC unroll 8
            for (int i = 0; i < COUNT; ++i) {
                const vf value = broadcast(values[i * 4 + component]);
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; ++v)
                    sum[i][v] += w[v] * value;
            }
            weights += PANEL;
        }
        values += p.slice_step;
    }
    for (int component = 0; k < p.depth; ++k, ++component) {
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i) {
            const vf value = broadcast(values[i * 4 + component]);
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v)
                sum[i][v] += load(weights + v * LANES) * value;
        }
        weights += PANEL;
    }
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v)
            store(p.sums + (row + i) * PANEL + v * LANES, sum[i][v]);
}

// One block of the depth. Rows in blocks of ROWS; what is left over in blocks as even as possible.
inline void multiply_block(const matrix_product<float> &p, size_t rows)
{
    const char *next = reinterpret_cast<const char *>(p.weights + size_t(p.depth) * PANEL);
    for (size_t row = 0; row < rows;) {
        const size_t blocks = (rows - row + ROWS - 1) / ROWS;
        const size_t count = (rows - row + blocks - 1) / blocks;
        switch (count) {
        case 6: multiply_few_rows<6>(p, row, next); break;
        case 5: multiply_few_rows<5>(p, row, next); break;
        case 4: multiply_few_rows<4>(p, row, next); break;
        case 3: multiply_few_rows<3>(p, row, next); break;
        case 2: multiply_few_rows<2>(p, row, next); break;
        default: multiply_few_rows<1>(p, row, next); break;
        }
        row += count;
        next += p.depth / 4 * (FETCHED_LINES * 64);
    }
}

// Half weights are multiplied no wider than 256 bits: converting to 512 is slower.
#if defined(__AVX2__)
typedef f8 narrow;
#else
typedef f4 narrow;
#endif
enum { NARROW_LANES = sizeof(narrow) / sizeof(float) };

TWIN_INLINE narrow load_narrow(const half_bits *from)
{
#if defined(__AVX2__)
    __m128i halves;
    memcpy(&halves, from, sizeof halves);
    return (narrow)_mm256_cvtph_ps(halves);
#else
    return load_four(from);
#endif
}

inline const float *as_floats(const float *weights, uint32_t, float *) { return weights; }

inline const float *as_floats(const half_bits *weights, uint32_t depth, float *scratch)
{
    for (size_t i = 0; i < size_t(depth) * PANEL; i += NARROW_LANES) {
        const narrow values = load_narrow(weights + i);
        memcpy(scratch + i, &values, sizeof values);
    }
    return scratch;
}

// `scratch`: DEPTH_BLOCK * PANEL floats, for weights that are not float.
template <class W> void multiply_many(const matrix_product<W> &p, size_t rows, float *scratch)
{
    const float *start = p.start;
    size_t start_step = p.start_step;
    for (uint32_t k = 0; k < p.depth; k += DEPTH_BLOCK) {
        const uint32_t depth = p.depth - k < DEPTH_BLOCK ? p.depth - k : uint32_t(DEPTH_BLOCK);
        const float *weights = as_floats(p.weights + size_t(k) * PANEL, depth, scratch);
        const float *values = p.values + k / 4 * p.slice_step;
        multiply_block({weights, values, p.slice_step, depth, start, start_step, p.sums}, rows);
        start = p.sums;
        start_step = PANEL;
    }
}

TWIN_INLINE vf load_weights(const float *from, vf) { return load(from); }
TWIN_INLINE narrow load_weights(const half_bits *from, narrow) { return load_narrow(from); }

// One row by COUNT neighbouring panels, whose sums lie `sums_step` floats apart: enough sums at a time to hide how long
// an addition takes. The values lie side by side.
template <class V, int COUNT, class W>
TWIN_INLINE void multiply_row_by(const matrix_product<W> &p, size_t sums_step)
{
    enum { WIDTH = sizeof(V) / sizeof(float), PARTS = PANEL / WIDTH };
    V sum[COUNT][PARTS];
    const W *weights[COUNT];
#pragma GCC unroll 2
    for (int i = 0; i < COUNT; ++i) {
        weights[i] = p.weights + size_t(p.depth) * PANEL * i;
#pragma GCC unroll 8
        for (int v = 0; v < PARTS; ++v)
            memcpy(&sum[i][v], p.start + p.start_step * i + v * WIDTH, sizeof(V));
    }
#pragma GCC unroll 4
    for (uint32_t k = 0; k < p.depth; ++k) {
        const V value = p.values[k] - V{};
#pragma GCC unroll 2
        for (int i = 0; i < COUNT; ++i) {
#pragma GCC unroll 8
            for (int v = 0; v < PARTS; ++v)
                sum[i][v] += load_weights(weights[i] + v * WIDTH, V{}) * value;
            weights[i] += PANEL;
        }
    }
#pragma GCC unroll 2
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < PARTS; ++v)
            memcpy(p.sums + sums_step * i + v * WIDTH, &sum[i][v], sizeof(V));
}

inline void multiply_row(const matrix_product<float> &p, uint32_t panels, size_t sums_step)
{
    panels == 2 ? multiply_row_by<vf, 2>(p, sums_step) : multiply_row_by<vf, 1>(p, sums_step);
}

inline void multiply_row(const matrix_product<half_bits> &p, uint32_t panels, size_t sums_step)
{
    panels == 2 ? multiply_row_by<narrow, 2>(p, sums_step) : multiply_row_by<narrow, 1>(p, sums_step);
}

} // namespace twin
} // namespace
#endif
