// Batches by Strassen's algorithm in Winograd's form, one level deep: seven products of halves instead of eight.
//
// The upper half of a batch's rows is multiplied together with the lower one, the first half of the panels together
// with the second. Sums and differences of rows are rounded at the size of the larger, so that rows may only be paired
// that are of a size, and none that holds a NaN: `are_of_a_size` decides for every operand, by its values alone.
#ifndef TWIN_MATRIX_STRASSEN_H
#define TWIN_MATRIX_STRASSEN_H
#include "matrix_multiply.h"
#include "matrix_weights.h"

namespace {
namespace twin {

// Blocks of weights of a pair of panels, [depth / 2][PANEL] each, in the order of their use; the last one only serves
// the ordinary product.
enum { B11, B21, T2, T1, B22, T3, MINUS_T4, B12, STRASSEN_BLOCKS };

// Sums of the quarters of the rows: S1 to S4, [depth / 8][rows / 2][4] each.
enum { STRASSEN_SIDES = 4 };

// The largest quotient of the largest values of two rows.
constexpr float MOST_UNLIKE = 64.0f;

inline void pack_strassen_term(float *to, const matrix_packing &k, const matrix_term &term, bool is_half)
{
    const size_t block = size_t(term.depth) / 2 * PANEL;
    const uint32_t pairs = k.stage->panels / 2;
    for (uint32_t pair = 0; pair < pairs; ++pair) {
        float *blocks = to + term.first + pair * STRASSEN_BLOCKS * block;
        if (is_half) {
            pack_matrix_panel<half_bits>(blocks + B11 * block, k, term, pair);
            pack_matrix_panel<half_bits>(blocks + T1 * block, k, term, pair + pairs);
        } else {
            pack_matrix_panel<float>(blocks + B11 * block, k, term, pair);
            pack_matrix_panel<float>(blocks + T1 * block, k, term, pair + pairs);
        }
        for (size_t i = 0; i < block; ++i) {
            const double b11 = blocks[i], b21 = blocks[B21 * block + i];
            const double b12 = blocks[T1 * block + i], b22 = blocks[B22 * block + i];
            const double t1 = b12 - b11, t2 = b22 - t1;
            blocks[T1 * block + i] = float(t1);
            blocks[T2 * block + i] = float(t2);
            blocks[T3 * block + i] = float(b22 - b12);
            blocks[MINUS_T4 * block + i] = float(b21 - t2);
            blocks[B12 * block + i] = float(b12);
        }
    }
}

template <class T> void derive_strassen_panels(void *to, const void *context)
{
    const matrix_packing &k = *static_cast<const matrix_packing *>(context);
    const matrix_term *const terms[] = {&k.stage->input, &k.stage->terms[0]};
    for (const matrix_term *term : terms)
        pack_strassen_term(static_cast<float *>(to), k, *term, sizeof(T) == sizeof(half_bits));
}

// Rows of an operand [depth / 4][rows][4]. `scratch`: rows * 4 floats.
inline bool are_of_a_size(const float *values, uint32_t depth, size_t rows, float *scratch)
{
    memset(scratch, 0, rows * 4 * sizeof *scratch);
    for (uint32_t slice = 0; slice < depth / 4; ++slice)
        for (size_t i = 0; i < rows * 4; i += LANES) {
            // As integers magnitudes are ordered like numbers, and those of NaN come last.
            const vi magnitude = (vi)load(values + slice * rows * 4 + i) & 0x7fffffff, most = (vi)load(scratch + i);
            store(scratch + i, select(magnitude > most, (vf)magnitude, (vf)most));
        }
    float least = __builtin_inff(), most = 0.0f;
    for (size_t row = 0; row < rows; ++row) {
        float own = 0.0f;
        for (int i = 0; i < 4; ++i) {
            const float value = scratch[row * 4 + i];
            if (!(value < 1e30f))
                return false;
            own = value > own ? value : own;
        }
        least = own < least ? own : least;
        most = own > most ? own : most;
    }
    return most <= MOST_UNLIKE * least;
}

// A share of the sides' depth / 8 slices.
inline void add_strassen_sides(float *sides, const float *values, uint32_t depth, size_t rows, share own)
{
    const size_t half = rows / 2 * 4, step = rows * 4, side = size_t(depth) / 8 * half;
    for (uint32_t slice = own.begin; slice < own.end; ++slice) {
        const float *first = values + slice * step, *second = first + depth / 8 * step;
        float *to = sides + slice * half;
        for (size_t i = 0; i < half; i += 4) {
            const f4 a11 = load4(first + i), a21 = load4(first + half + i);
            const f4 a12 = load4(second + i), a22 = load4(second + half + i);
            const f4 s1 = a21 + a22, s2 = s1 - a11;
            const f4 s[STRASSEN_SIDES] = {s1, s2, a11 - a21, a12 - s2};
            for (int k = 0; k < STRASSEN_SIDES; ++k)
                memcpy(to + k * side + i, &s[k], sizeof(f4));
        }
    }
}

// A pair of panels by all rows, added to what the sums begin with.
struct strassen_product {
    const float *weights, *values, *sides;
    const float *next;          // weights of the next pair
    uint32_t depth;
    size_t rows;                // of the values; even
    const float *start[2];      // of either panel, for the upper rows; as many floats on for the lower ones as of sums
    size_t start_step;
    float *upper[2], *lower[2]; // sums of the upper and the lower rows, of either panel
};

// How many products are added up at a time. Those of sums and differences are large, and partly cancel: what rounding
// adds to long sums of them would be several times that of the ordinary product.
enum { PLAIN_CHAIN = DEPTH_BLOCK, STRASSEN_CHAIN = 64 };

// Sums of products, put aside while others are made.
struct parked_sums {
    float *parked;
    uint32_t chain_length;
    bool has_some;              // of earlier blocks of the depth

    TWIN_INLINE uint32_t chain() const { return chain_length; }

    // Clears the sums.
    template <int COUNT> TWIN_INLINE void park(vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        const bool adds = has_some || has_more;
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) {
                float *at = parked + (row + i) * PANEL + v * LANES;
                store(at, adds ? load(at) + sum[i][v] : sum[i][v]);
                sum[i][v] = vf{};
            }
    }

    template <int COUNT> TWIN_INLINE void finish(vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        park(sum, row, has_more);
    }
};

// Sums of one of the seven products, and what is made of them. `a` and `b` may be absent.
struct strassen_result {
    float *to;                  // = sums + a + b
    const float *a, *b;
    size_t b_step;
};

struct strassen_ending : parked_sums {
    strassen_result first, second;

    template <int COUNT> TWIN_INLINE void finish(const vf (&sum)[COUNT][VECTORS], size_t row, bool has_more) const
    {
        const bool adds = has_some || has_more;
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS; ++v) {
                const size_t at = (row + i) * PANEL + v * LANES;
                const vf all = adds ? load(parked + at) + sum[i][v] : sum[i][v];
                keep(first, all, row + i, v);
                if (second.to)
                    keep(second, all, row + i, v);
            }
    }

    TWIN_INLINE static void keep(const strassen_result &r, vf sum, size_t row, int v)
    {
        const size_t at = row * PANEL + v * LANES;
        if (r.a)
            sum += load(r.a + at);
        if (r.b)
            sum += load(r.b + row * r.b_step + v * LANES);
        store(r.to + at, sum);
    }
};

// `next`: weights that are needed next.
inline void multiply_half(const matrix_factors<float> &p, size_t rows, const float *next, strassen_ending ending,
                          wanted_lines &wanted)
{
    const parked_sums &parking = ending;
    uint32_t k = 0;
    for (; p.depth - k > DEPTH_BLOCK; k += DEPTH_BLOCK) {
        multiply_block(depth_block_of(p, k, nullptr), rows, parking, p.weights + size_t(k + DEPTH_BLOCK) * PANEL,
                       wanted);
        ending.has_some = true;
    }
    multiply_block(depth_block_of(p, k, nullptr), rows, ending, next, wanted);
}

// `scratch`: four times rows / 2 * PANEL floats.
inline void multiply_by_strassen(const strassen_product &p, float *scratch, wanted_lines &wanted)
{
    const uint32_t depth = p.depth / 2;
    const size_t rows = p.rows / 2, step = p.rows * 4, size = rows * PANEL;
    const size_t block = size_t(depth) * PANEL, side = size_t(depth) * rows;
    const float *a11 = p.values, *a12 = p.values + depth / 4 * step, *a22 = a12 + rows * 4;
    const float *s1 = p.sides, *s2 = s1 + side, *s3 = s2 + side, *s4 = s3 + side;
    float *first = scratch, *second = first + size, *third = second + size, *rest = third + size;
    const auto multiply = [&](int weights, const float *values, size_t slice_step, strassen_result result,
                              strassen_result other) {
        const float *from = p.weights + weights * block, *next = weights == MINUS_T4 ? p.next : from + block;
        const uint32_t chain = weights == B11 || weights == B21 ? PLAIN_CHAIN : STRASSEN_CHAIN;
        multiply_half({from, values, slice_step, depth}, rows, next, {{rest, chain, false}, result, other}, wanted);
    };
    // Sums of a quarter are complete when they are stored: `a` and the product, and what they begin with.
    const auto sums = [&](float *to, const float *a, int panel, const float *begin) {
        return strassen_result{to, a, begin + (p.start_step ? to - p.upper[panel] : 0), p.start_step};
    };
    const strassen_result none = {};
    multiply(B11, a11, step, {first, nullptr, nullptr, 0}, none);
    multiply(B21, a12, step, sums(p.upper[0], first, 0, p.start[0]), none);
    multiply(T2, s2, rows * 4, {first, first, nullptr, 0}, none);
    multiply(T1, s1, rows * 4, {third, first, nullptr, 0}, none);
    multiply(B22, s4, rows * 4, sums(p.upper[1], third, 1, p.start[1]), none);
    multiply(T3, s3, rows * 4, sums(p.lower[1], third, 1, p.start[1]), {second, first, nullptr, 0});
    multiply(MINUS_T4, a22, step, sums(p.lower[0], second, 0, p.start[0]), none);
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
            multiply_many<float>({weights, values, step, p.depth / 2, start[0], start_step, upper}, rows, nullptr,
                                 wanted);
            multiply_many<float>({weights, values + rows * 4, step, p.depth / 2, start[1], start_step, lower}, rows,
                                 nullptr, wanted);
            start[0] = upper;
            start[1] = lower;
            start_step = PANEL;
        }
    }
}

} // namespace twin
} // namespace
#endif
