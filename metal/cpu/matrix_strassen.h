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
enum { B11, B21, T2, T3, MINUS_T4, T1, B22, B12, STRASSEN_BLOCKS };

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

// A pair of panels by all rows, added to the sums.
struct strassen_product {
    const float *weights, *values, *sides;
    uint32_t depth;
    size_t rows;                // of the values; even
    float *upper[2], *lower[2]; // sums of the upper and the lower rows, of either panel
};

// Adds `more` to `sums`, and `rest` too where there is one.
inline void add_rows(float *sums, size_t rows, const float *more, const float *rest)
{
    for (size_t i = 0; i < rows * PANEL; i += LANES) {
        const vf value = load(sums + i) + load(more + i);
        store(sums + i, rest ? value + load(rest + i) : value);
    }
}

// `scratch`: three times rows / 2 * PANEL floats.
inline void multiply_by_strassen(const strassen_product &p, float *scratch)
{
    static const float zeros[PANEL] = {};
    const uint32_t depth = p.depth / 2;
    const size_t rows = p.rows / 2, step = p.rows * 4;
    const size_t block = size_t(depth) * PANEL, side = size_t(depth) * rows;
    const float *a11 = p.values, *a12 = p.values + depth / 4 * step, *a22 = a12 + rows * 4;
    float *first = scratch, *second = first + rows * PANEL, *third = second + rows * PANEL;
    const auto multiply = [&](int weights, const float *values, size_t slice_step, const float *start, float *sums) {
        multiply_many<float>({p.weights + weights * block, values, slice_step, depth, start,
                              start == zeros ? 0 : size_t(PANEL), sums}, rows, nullptr);
    };
    multiply(B11, a11, step, zeros, first);
    add_rows(p.upper[0], rows, first, nullptr);
    multiply(B21, a12, step, p.upper[0], p.upper[0]);
    multiply(T2, p.sides + side, rows * 4, first, first);
    multiply(T3, p.sides + 2 * side, rows * 4, first, second);
    add_rows(p.lower[0], rows, second, nullptr);
    multiply(MINUS_T4, a22, step, p.lower[0], p.lower[0]);
    multiply(T1, p.sides, rows * 4, zeros, third);
    add_rows(p.lower[1], rows, second, third);
    add_rows(p.upper[1], rows, first, third);
    multiply(B22, p.sides + 3 * side, rows * 4, p.upper[1], p.upper[1]);
}

// The same without pairing rows.
inline void multiply_ordinarily(const strassen_product &p)
{
    const size_t step = p.rows * 4, rows = p.rows / 2, block = size_t(p.depth) / 2 * PANEL;
    static const int blocks[2][2] = {{B11, B21}, {B12, B22}};
    for (int panel = 0; panel < 2; ++panel)
        for (int half = 0; half < 2; ++half) {
            const float *weights = p.weights + blocks[panel][half] * block;
            const float *values = p.values + half * (p.depth / 8 * step);
            float *upper = p.upper[panel], *lower = p.lower[panel];
            multiply_many<float>({weights, values, step, p.depth / 2, upper, PANEL, upper}, rows, nullptr);
            multiply_many<float>({weights, values + rows * 4, step, p.depth / 2, lower, PANEL, lower}, rows, nullptr);
        }
}

} // namespace twin
} // namespace
#endif
