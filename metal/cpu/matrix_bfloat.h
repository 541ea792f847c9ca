// Batches in reduced precision: products of bfloat16, two at a time, with float32 sums. For processors whose own
// instructions multiply so (AVX512_BF16); of no use elsewhere.
//
// Weights (k, output) and (k + 1, output), k even, lie side by side; operands as those of float32 do. A value that is
// not finite stays what it is. The instructions take numbers below the least normal one as zero.
#ifndef TWIN_MATRIX_BFLOAT_H
#define TWIN_MATRIX_BFLOAT_H
#include "matrix_multiply.h"
#include "processor.h"

namespace {
namespace twin {

// Rows that share what is read.
enum { BFLOAT_ROWS = 4 };

// Four weights of one input.
template <class T> void put_four(bfloat *panel, uint32_t input, size_t place, const T *from)
{
    const f4 four = load_four(from);
    for (int i = 0; i < 4; ++i)
        panel[(input / 2 * PANEL + place + i) * 2 + input % 2] = bfloat_of(four[i]);
}

#if defined(__AVX512F__)

// Products worked off before the next block of rows has its turn, a multiple of four.
enum { BFLOAT_DEPTH_BLOCK = 512 };
// Cache lines fetched ahead for every four products of a block of rows.
enum { BFLOAT_FETCHED_LINES = 1 };

// `depth` is a multiple of four.
template <int COUNT>
__attribute__((target("avx512bf16"))) void multiply_few_rows(const matrix_product<bfloat> &p, size_t row,
                                                             const char *next, some_lines lines)
{
    __m512 sum[COUNT][VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v)
            sum[i][v] = _mm512_loadu_ps(p.start + (row + i) * p.start_step + v * LANES);
    const bfloat *weights = p.weights, *values = p.values + row * 4;
    float *const sums = p.sums + row * PANEL;
    for (uint32_t k = 0; k < p.depth; k += 4) {
#pragma GCC unroll 4
        for (int line = 0; line < BFLOAT_FETCHED_LINES; ++line)
            __builtin_prefetch(next + line * 64, 0, 2);
        next += BFLOAT_FETCHED_LINES * 64;
        lines.fetch(k);
#pragma GCC unroll 2
        for (int pair = 0; pair < 4; pair += 2) {
            __m512bh w[VECTORS];
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v)
                w[v] = (__m512bh)_mm512_loadu_si512(weights + v * (2 * LANES));
#pragma GCC unroll 8
            for (int i = 0; i < COUNT; ++i) {
                int32_t both;
                memcpy(&both, values + i * 4 + pair, sizeof both);
                const __m512bh value = (__m512bh)_mm512_set1_epi32(both);
#pragma GCC unroll 4
                for (int v = 0; v < VECTORS; ++v)
                    sum[i][v] = _mm512_dpbf16_ps(sum[i][v], w[v], value);
            }
            weights += 2 * PANEL;
        }
        values += p.slice_step;
    }
#pragma GCC unroll 8
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v)
            _mm512_storeu_ps(sums + i * PANEL + v * LANES, sum[i][v]);
}

// One block of the depth, in blocks of rows as even as possible, which fetch `next` between them.
inline void multiply_block(const matrix_product<bfloat> &p, size_t rows, wanted_lines &wanted)
{
    const char *const begin = reinterpret_cast<const char *>(p.weights + size_t(p.depth) * PANEL);
    const size_t all = size_t(p.depth) * PANEL * sizeof(bfloat), some = p.depth / 4 * (BFLOAT_FETCHED_LINES * 64);
    size_t fetched = 0;
    for (size_t row = 0; row < rows;) {
        const size_t blocks = (rows - row + ROWS - 1) / ROWS;
        const size_t count = (rows - row + blocks - 1) / blocks;
        const char *next = begin + fetched;
        const some_lines lines(wanted, p.depth);
        switch (count) {
        case 6: multiply_few_rows<6>(p, row, next, lines); break;
        case 5: multiply_few_rows<5>(p, row, next, lines); break;
        case 4: multiply_few_rows<4>(p, row, next, lines); break;
        case 3: multiply_few_rows<3>(p, row, next, lines); break;
        case 2: multiply_few_rows<2>(p, row, next, lines); break;
        default: multiply_few_rows<1>(p, row, next, lines); break;
        }
        row += count;
        fetched = fetched + some < all ? fetched + some : 0;
    }
}

inline void multiply_many(const matrix_product<bfloat> &p, size_t rows, uint32_t, float *, wanted_lines &wanted)
{
    matrix_product<bfloat> block = p;
    for (uint32_t k = 0; k < p.depth; k += BFLOAT_DEPTH_BLOCK) {
        block.weights = p.weights + size_t(k) * PANEL;
        block.values = p.values + k / 4 * p.slice_step;
        block.depth = p.depth - k < BFLOAT_DEPTH_BLOCK ? p.depth - k : uint32_t(BFLOAT_DEPTH_BLOCK);
        multiply_block(block, rows, wanted);
        block.start = p.sums;
        block.start_step = PANEL;
    }
}

// One row that is left of a batch.
inline void multiply_row(matrix_product<bfloat> p, uint32_t panels, size_t sums_step, bool)
{
    wanted_lines none;
    for (uint32_t i = 0; i < panels; ++i) {
        multiply_many(p, 1, VECTORS, nullptr, none);
        p.weights += size_t(p.depth) * PANEL;
        p.start += p.start_step;
        p.sums += sums_step;
    }
}

#endif

} // namespace twin
} // namespace
#endif
