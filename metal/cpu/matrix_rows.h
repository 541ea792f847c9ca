// Rows of matrices: parts of them as vectors, and whole ones as operands of a multiplication.
#ifndef TWIN_MATRIX_ROWS_H
#define TWIN_MATRIX_ROWS_H
#include "matrix_plan.h"
#include "surface.h"

namespace {
namespace twin {

// As half values lie in memory.
typedef uint16_t half_bits;

// A bfloat16, the upper half of a float; a type of its own, for overloads to tell it from half values.
enum bfloat : uint16_t {};

typedef uint32_t vu __attribute__((vector_size(4 * LANES)));
typedef uint16_t bfloats __attribute__((vector_size(2 * LANES)));
// As many as four of them make.
typedef uint64_t bfloat_texels __attribute__((vector_size(2 * LANES)));

// What weights of type W are multiplied with.
template <class W> struct multiplied_with {
    typedef float type;
};
template <> struct multiplied_with<bfloat> {
    typedef bfloat type;
};

// To the nearest, and to even where two are; NaN stays NaN.
TWIN_INLINE bfloats round_to_bfloat(vf x)
{
#if defined(__AVX512F__)
    // There is no other use for them than on processors that have the instruction. It takes numbers below the least normal
    // one as zero, as the products do.
    bfloats rounded;
    __asm__("vcvtneps2bf16 %1, %0" : "=v"(rounded) : "v"(x));
    return rounded;
#else
    const vu bits = (vu)x, rounded = bits + ((bits >> 16 & 1) + 0x7fff);
    const vu quiet = bits | 0x400000;
    return __builtin_convertvector((vu)select(x == x, (vf)rounded, (vf)quiet) >> 16, bfloats);
#endif
}

TWIN_INLINE bfloat bfloat_of(float x) { return bfloat(round_to_bfloat(broadcast(x))[0]); }

// `count` channels from channel `first` on, at most a vector of them.
struct lanes {
    uint32_t first;
    int count;
};

// Zeros beyond the last.
TWIN_INLINE vf load_lanes(const float *row, lanes at)
{
    if (at.count == LANES)
        return load(row + at.first);
    float values[LANES] = {};
    for (int i = 0; i < at.count; ++i)
        values[i] = row[at.first + i];
    return load(values);
}

TWIN_INLINE vf load_lanes(const half_bits *row, lanes at)
{
    half_bits values[LANES] = {};
    memcpy(values, row + at.first, size_t(at.count) * sizeof *row);
    return load_halves(reinterpret_cast<const char *>(values));
}

TWIN_INLINE void store_lanes(float *row, lanes at, vf value)
{
    if (at.count == LANES) {
        store(row + at.first, value);
        return;
    }
    for (int i = 0; i < at.count; ++i)
        row[at.first + i] = value[i];
}

TWIN_INLINE void store_lanes(half_bits *row, lanes at, vf value)
{
    for (int i = 0; i < TEXELS; ++i) {
        const uint64_t halves = msl::float_to_half(part(value, i));
        const int left = at.count - i * 4;
        if (left >= 4)
            memcpy(row + at.first + i * 4, &halves, sizeof halves);
        else
            for (int k = 0; k < left; ++k)
                row[at.first + i * 4 + k] = half_bits(halves >> 16 * k);
    }
}

TWIN_INLINE f4 load_four(const float *from) { return load4(from); }

TWIN_INLINE f4 load_four(const half_bits *from)
{
    uint64_t halves;
    memcpy(&halves, from, sizeof halves);
    return msl::half_to_float(halves);
}

// Puts `value` into an operand of `slices` slices, `step` floats each. Behind that of one row is room for a vector.
TWIN_INLINE void store_operand(float *operand, size_t step, uint32_t slices, size_t row, lanes at, vf value)
{
    if (step == 4) {
        store(operand + at.first, value);
        return;
    }
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i) {
        if (at.first / 4 + i < slices) {
            const f4 four = part(value, i);
            memcpy(operand + (at.first / 4 + i) * step + row * 4, &four, sizeof four);
        }
    }
}

// Rounded. Channels that there are not become zero, for they are multiplied as well.
TWIN_INLINE void store_operand(bfloat *operand, size_t step, uint32_t slices, size_t row, lanes at, vf value)
{
    if (at.count < LANES)
        value = select(lanes_below(at.count), value, vf{});
    const bfloat_texels texels = (bfloat_texels)round_to_bfloat(value);
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i) {
        if (at.first / 4 + i < slices) {
            const uint64_t four = texels[i];
            memcpy(operand + (at.first / 4 + i) * step + row * 4, &four, sizeof four);
        }
    }
}

// All texels of a vector of channels, from slice `slice` on.
TWIN_INLINE void store_texels(float *operand, size_t step, size_t slice, size_t row, vf value)
{
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i) {
        const f4 four = part(value, i);
        memcpy(operand + (slice + i) * step + row * 4, &four, sizeof four);
    }
}

TWIN_INLINE void store_texels(bfloat *operand, size_t step, size_t slice, size_t row, vf value)
{
    const bfloat_texels texels = (bfloat_texels)round_to_bfloat(value);
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i) {
        const uint64_t four = texels[i];
        memcpy(operand + (slice + i) * step + row * 4, &four, sizeof four);
    }
}

template <class E> void pack_operand_row(bfloat *operand, size_t step, size_t row, const E *from, uint32_t channels)
{
    for (uint32_t c = 0; c < channels; c += LANES) {
        const lanes at = {c, channels - c < LANES ? int(channels - c) : int(LANES)};
        store_operand(operand, step, (channels + 3) / 4, row, at, load_lanes(from, at));
    }
}

// Packs a row of `channels` elements as row `row` of an operand; what its last slice has too many becomes zero.
template <class E> void pack_operand_row(float *operand, size_t step, size_t row, const E *from, uint32_t channels)
{
    float *to = operand + row * 4;
    uint32_t c = 0;
    for (; c + 4 <= channels; c += 4, to += step) {
        const f4 four = load_four(from + c);
        memcpy(to, &four, sizeof four);
    }
    if (c < channels) {
        E rest[4] = {};
        memcpy(rest, from + c, (channels - c) * sizeof(E));
        const f4 four = load_four(rest);
        memcpy(to, &four, sizeof four);
    }
}

TWIN_INLINE vf load_elements(const float *from) { return load(from); }
TWIN_INLINE vf load_elements(const half_bits *from) { return load_halves(reinterpret_cast<const char *>(from)); }

// A texel of each of TEXELS rows, which lie side by side.
TWIN_INLINE void store_rows(float *to, vf value) { store(to, value); }

TWIN_INLINE void store_rows(bfloat *to, vf value)
{
    const bfloats rounded = round_to_bfloat(value);
    memcpy(to, &rounded, sizeof rounded);
}

// A vector of channels of each of TEXELS rows, from slice `slice` and row `row` on: whole vectors of the operand.
template <class V>
TWIN_INLINE void store_rows_of_texels(V *operand, size_t step, size_t slice, size_t row, const vf *values)
{
    vf texels[TEXELS];
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i)
        texels[i] = values[i];
    transpose(texels);
#pragma GCC unroll 4
    for (int i = 0; i < TEXELS; ++i)
        store_rows(operand + (slice + i) * step + row * 4, texels[i]);
}

// Packs TEXELS rows, of which `row` is the first: whole vectors of an operand instead of a texel here and there. Fetches
// what lies `ahead` elements further on, rows that will be packed next.
template <class V, class E>
void pack_operand_rows(V *operand, size_t step, size_t row, const E *const (&from)[TEXELS], uint32_t channels, size_t ahead)
{
    uint32_t c = 0;
    for (; c + LANES <= channels; c += LANES) {
        vf values[TEXELS];
#pragma GCC unroll 4
        for (int i = 0; i < TEXELS; ++i) {
            values[i] = load_elements(from[i] + c);
            __builtin_prefetch(from[i] + c + ahead);
        }
        store_rows_of_texels(operand, step, c / 4, row, values);
    }
    if (c < channels)
        for (int i = 0; i < TEXELS; ++i)
            pack_operand_row(operand + c / 4 * step, step, row + i, from[i] + c, channels - c);
}

} // namespace twin
} // namespace
#endif
