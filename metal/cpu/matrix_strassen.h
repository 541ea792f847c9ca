// Batches by Strassen's algorithm, one level deep: seven products of halves instead of eight. In its first form, not in
// Winograd's, which has fewer additions, but sums of more quarters, and so a larger error.
//
// The upper half of a batch's rows is multiplied together with the lower one, every other panel together with the next.
// Sums and differences of quarters are rounded at the size of the larger. So nothing is paired but what is of a size, and
// holds no NaN: `are_rows_of_a_size` decides for every operand, `are_panels_of_a_size` for every pair, by values alone.
#ifndef TWIN_MATRIX_STRASSEN_H
#define TWIN_MATRIX_STRASSEN_H
#include "matrix_multiply.h"
#include "matrix_weights.h"

namespace {
namespace twin {

// Blocks of weights of a pair of panels, [depth / 2][PANEL] each: B11 + B22, B11, B12 - B22, ... in the order of their
// use; the last two only serve the ordinary product.
enum { B11_B22, B11, B12_LESS_B22, B21_LESS_B11, B22, B11_B12, B21_B22, B12, B21, STRASSEN_BLOCKS };

// Sums and differences of the quarters of the rows, [depth / 8][rows / 2][4] each.
enum { A11_A22, A21_A22, A11_A12, A21_LESS_A11, A12_LESS_A22, STRASSEN_SIDES };

// The largest values of what is paired: how many times as large as the least of them they may be, and how large at all.
constexpr float MOST_UNLIKE = 64.0f, LARGEST_PAIRED = 1e30f;

// Whether each lane of a pair's first panel is of a size with that of the second.
inline bool are_panels_of_a_size(const float *blocks, size_t block)
{
    float most[2][PANEL] = {};
    const int quarters[2][2] = {{B11, B21}, {B12, B22}};
    for (int panel = 0; panel < 2; ++panel)
        for (int quarter : quarters[panel])
            for (size_t i = 0; i < block; ++i) {
                const float magnitude = __builtin_fabsf(blocks[quarter * block + i]);
                if (!(magnitude < LARGEST_PAIRED))
                    return false;
                float &own = most[panel][i % PANEL];
                own = magnitude > own ? magnitude : own;
            }
    for (int lane = 0; lane < PANEL; ++lane)
        if (most[0][lane] > MOST_UNLIKE * most[1][lane] || most[1][lane] > MOST_UNLIKE * most[0][lane])
            return false;
    return true;
}

// Bytes of a stage's weights: the blocks of the input and the recurrent term, and behind them, for every pair of either,
// whether it is of a size.
inline size_t strassen_block_count(const matrix_stage &stage) { return matrix_weight_count(stage) / 4 * STRASSEN_BLOCKS; }
inline size_t strassen_size(const matrix_stage &stage)
{
    return (strassen_block_count(stage) + stage.panels) * sizeof(float);
}

// Where that of the first pair of the term is.
inline size_t sizes_of_pairs(const matrix_stage &stage, const matrix_term &term)
{
    return strassen_block_count(stage) + (&term == &stage.input ? 0 : stage.panels / 2);
}

// T: the kernel's weights.
template <class T> void pack_strassen_term(float *to, const matrix_packing &k, const matrix_term &term)
{
    const size_t block = size_t(term.depth) / 2 * PANEL;
    const uint32_t pairs = k.stage->panels / 2;
    for (uint32_t pair = 0; pair < pairs; ++pair) {
        float *blocks = to + term.first + pair * STRASSEN_BLOCKS * block;
        // Each brings two blocks, the second of which lies behind it.
        float *first = blocks + B11 * block, *second = blocks + B12 * block;
        pack_matrix_panel<T>(first, k, term, pair * 2);
        pack_matrix_panel<T>(second, k, term, pair * 2 + 1);
        memcpy(blocks + B22 * block, second + block, block * sizeof *blocks);
        memcpy(second + block, first + block, block * sizeof *blocks);
        to[sizes_of_pairs(*k.stage, term) + pair] = are_panels_of_a_size(blocks, block);
        for (size_t i = 0; i < block; ++i) {
            const float b11 = blocks[B11 * block + i], b12 = blocks[B12 * block + i];
            const float b21 = blocks[B21 * block + i], b22 = blocks[B22 * block + i];
            blocks[B11_B22 * block + i] = b11 + b22;
            blocks[B12_LESS_B22 * block + i] = b12 - b22;
            blocks[B21_LESS_B11 * block + i] = b21 - b11;
            blocks[B11_B12 * block + i] = b11 + b12;
            blocks[B21_B22 * block + i] = b21 + b22;
        }
    }
}

template <class T> void derive_strassen_panels(void *to, const void *context)
{
    const matrix_packing &k = *static_cast<const matrix_packing *>(context);
    const matrix_term *const terms[] = {&k.stage->input, &k.stage->terms[0]};
    for (const matrix_term *term : terms)
        pack_strassen_term<T>(static_cast<float *>(to), k, *term);
}

// Floats of an operand's sides, and of the sizes of its rows.
inline size_t strassen_side_count(uint32_t depth, size_t rows) { return size_t(depth) / 4 * STRASSEN_SIDES * rows; }
inline size_t row_size_count(size_t rows) { return 2 * rows * 4; }
static_assert(PANEL / 2 >= 2 * 4, "the scratch memory of a product must have room for the sizes of its rows");

// A share of the sides' depth / 8 slices. Of the values that they are made of, finds the largest of every lane of a row, in
// the first and the second half of the depth: `sizes`, [2][rows][4]. Of 2 * TEXELS rows at least.
inline void add_strassen_sides(float *sides, float *sizes, const float *values, uint32_t depth, size_t rows, share own)
{
    const size_t half = rows / 2 * 4, step = rows * 4, side = size_t(depth) / 8 * half;
    for (size_t i = 0; i < half; i += LANES) {
        const size_t at = half - i < LANES ? half - LANES : i;     // the last vector may begin in the one before
        const float *first = values + own.begin * step + at, *second = first + depth / 8 * step;
        float *to = sides + own.begin * half + at;
        vf most[2][2] = {};         // of the halves of the depth, and of the rows
        for (uint32_t slice = own.begin; slice < own.end; ++slice) {
            const vf a11 = load(first), a21 = load(first + half), a12 = load(second), a22 = load(second + half);
            store(to + A11_A22 * side, a11 + a22);
            store(to + A21_A22 * side, a21 + a22);
            store(to + A11_A12 * side, a11 + a12);
            store(to + A21_LESS_A11 * side, a21 - a11);
            store(to + A12_LESS_A22 * side, a12 - a22);
            most[0][0] = largest(most[0][0], absolute(a11));
            most[0][1] = largest(most[0][1], absolute(a21));
            most[1][0] = largest(most[1][0], absolute(a12));
            most[1][1] = largest(most[1][1], absolute(a22));
            first += step;
            second += step;
            to += half;
        }
        for (int k = 0; k < 4; ++k)
            store(sizes + k * half + at, most[k / 2][k % 2]);
    }
}

// Whether the rows of an operand are of a size, in either half of the depth. `sizes`: of so many shares, one behind the
// other.
inline bool are_rows_of_a_size(const float *sizes, size_t rows, unsigned shares)
{
    const size_t count = row_size_count(rows);
    float least = __builtin_inff(), most = 0.0f;
    for (size_t row = 0; row < count; row += 4) {
        float own = 0.0f;
        for (size_t i = 0; i < 4 * size_t(shares); ++i) {
            const float value = sizes[i / 4 * count + row + i % 4];
            if (!(value < LARGEST_PAIRED))
                return false;
            own = value > own ? value : own;
        }
        least = own < least ? own : least;
        most = own > most ? own : most;
    }
    return most <= MOST_UNLIKE * least;
}

// A pair of panels by all rows, added to what the sums begin with.
struct strassen_product {
    const float *weights, *values, *sides;
    bool is_alike;              // whether the panels are of a size
    const float *next;          // weights of the next pair
    uint32_t depth;
    size_t rows;                // of the values; even
    const float *start[2];      // of either panel, for the upper rows; as many floats on for the lower ones as of sums
    size_t start_step;
    float *upper[2], *lower[2]; // sums of the upper and the lower rows, of either panel
};

// How many products are added up at a time. Those of sums and differences are larger than those of the ordinary product;
// that its sums are longer makes up for it.
enum { STRASSEN_CHAIN = 64 };

// Sums of products, put aside while others are made.
struct parked_sums {
    float *parked;
    bool has_some;              // of earlier blocks of the depth

    TWIN_INLINE static uint32_t chain() { return STRASSEN_CHAIN; }

    // Clears the sums.
    template <int COUNT> TWIN_INLINE void park(vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        add_parked(sum, row, has_more);
        float *const to = parked + row * PANEL;
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) {
                store(to + i * PANEL + v * LANES, sum[i][v]);
                sum[i][v] = vf{};
            }
    }

    template <int COUNT> TWIN_INLINE void finish(vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        park(sum, row, has_more);
    }

protected:
    template <int COUNT> TWIN_INLINE void add_parked(vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        if (!has_some && !has_more)
            return;
        const float *const from = parked + row * PANEL;
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v)
                sum[i][v] = load(from + i * PANEL + v * LANES) + sum[i][v];
    }
};

// What is made of the sums of one of the seven products: `to` = `from`, rows of `from_step` floats, plus or minus them.
struct strassen_result {
    float *to;                  // may be absent
    const float *from;
    size_t from_step;
    bool subtracts;

    // Of COUNT rows. The pointers are copied, for a store might change what is referred to, as far as compilers know.
    template <int COUNT> TWIN_INLINE void keep(const vf (&sum)[COUNT][VECTORS], size_t row) const
    {
        subtracts ? keep_as<COUNT, true>(sum, row) : keep_as<COUNT, false>(sum, row);
    }

private:
    template <int COUNT, bool SUBTRACTS> TWIN_INLINE void keep_as(const vf (&sum)[COUNT][VECTORS], size_t row) const
    {
        float *const own = to + row * PANEL;
        const size_t step = from_step;
        const float *before = from + row * step;
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i, before += step)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) {
                const vf start = load(before + v * LANES);
                store(own + i * PANEL + v * LANES, SUBTRACTS ? start - sum[i][v] : start + sum[i][v]);
            }
    }
};

struct strassen_ending : parked_sums {
    strassen_result first, second;

    template <int COUNT> TWIN_INLINE void finish(vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        add_parked(sum, row, has_more);
        first.keep(sum, row);
        if (second.to)
            second.keep(sum, row);
    }
};

// `next`: weights that are needed next.
inline void multiply_half(const matrix_factors<float> &p, size_t rows, const float *next, strassen_ending ending,
                          wanted_lines &wanted)
{
    const parked_sums &parking = ending;
    uint32_t k = 0;
    for (; p.depth - k > DEPTH_BLOCK; k += DEPTH_BLOCK) {
        multiply_block<VECTORS>(depth_block_of(p, k, DEPTH_BLOCK), rows, nullptr, parking,
                                p.weights + size_t(k + DEPTH_BLOCK) * PANEL, wanted);
        ending.has_some = true;
    }
    multiply_block<VECTORS>(depth_block_of(p, k, DEPTH_BLOCK), rows, nullptr, ending, next, wanted);
}

// `scratch`: rows / 2 * PANEL floats.
inline void multiply_by_strassen(const strassen_product &p, float *scratch, wanted_lines &wanted)
{
    const uint32_t depth = p.depth / 2;
    const size_t rows = p.rows / 2, step = p.rows * 4;
    const size_t block = size_t(depth) * PANEL, side = size_t(depth) * rows;
    const float *a11 = p.values, *a22 = p.values + depth / 4 * step + rows * 4;
    const auto multiply = [&](int weights, const float *values, size_t slice_step, strassen_result result,
                              strassen_result other) {
        const float *from = p.weights + weights * block, *next = weights == B21_B22 ? p.next : from + block;
        multiply_half({from, values, slice_step, depth}, rows, next, {{scratch, false}, result, other}, wanted);
    };
    const auto multiply_side = [&](int weights, int index, strassen_result result, strassen_result other) {
        multiply(weights, p.sides + index * side, rows * 4, result, other);
    };
    // The sums of a quarter, which begin with `start`.
    const auto begin = [&p](float *to, int panel) {
        return strassen_result{to, p.start[panel] + (p.start_step ? to - p.upper[panel] : 0), p.start_step, false};
    };
    const auto add = [](float *to) { return strassen_result{to, to, PANEL, false}; };
    const auto subtract = [](float *to) { return strassen_result{to, to, PANEL, true}; };
    const strassen_result none = {};
    multiply_side(B11_B22, A11_A22, begin(p.upper[0], 0), begin(p.lower[1], 1));
    multiply_side(B11, A21_A22, begin(p.lower[0], 0), subtract(p.lower[1]));
    multiply(B12_LESS_B22, a11, step, begin(p.upper[1], 1), add(p.lower[1]));
    multiply(B21_LESS_B11, a22, step, add(p.upper[0]), add(p.lower[0]));
    multiply_side(B22, A11_A12, subtract(p.upper[0]), add(p.upper[1]));
    multiply_side(B11_B12, A21_LESS_A11, add(p.lower[1]), none);
    multiply_side(B21_B22, A12_LESS_A22, add(p.upper[0]), none);
}

// The same without pairing rows.
inline void multiply_ordinarily(const strassen_product &p, wanted_lines &wanted)
{
    const size_t step = p.rows * 4, rows = p.rows / 2, block = size_t(p.depth) / 2 * PANEL;
    static const int blocks[2][2] = {{B11, B21}, {B12, B22}};
    for (int panel = 0; panel < 2; ++panel) {
        float *upper = p.upper[panel], *lower = p.lower[panel];
        const float *start[2] = {p.start[panel], p.start[panel] + (p.start_step ? lower - upper : 0)};
        size_t start_step = p.start_step;
        for (int half = 0; half < 2; ++half) {
            const float *weights = p.weights + blocks[panel][half] * block;
            const float *values = p.values + half * (p.depth / 8 * step);
            multiply_many<float>({weights, values, step, p.depth / 2, start[0], start_step, upper, DEPTH_BLOCK},
                                 rows, VECTORS, nullptr, wanted);
            multiply_many<float>({weights, values + rows * 4, step, p.depth / 2, start[1], start_step, lower,
                                  DEPTH_BLOCK}, rows, VECTORS, nullptr, wanted);
            start[0] = upper;
            start[1] = lower;
            start_step = PANEL;
        }
    }
}

} // namespace twin
} // namespace
#endif
