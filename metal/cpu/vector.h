// Vectors of the instruction set that this is compiled for, four channels (one texel) to a quarter or a half of them.
#ifndef TWIN_VECTOR_H
#define TWIN_VECTOR_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define TWIN_INLINE inline __attribute__((always_inline))

namespace {
namespace twin {

#if defined(__AVX512F__)
enum { LANES = 16, ROWS = 6 };          // ROWS: of the multiplication's register block, VECTORS wide
#elif defined(__AVX2__)
enum { LANES = 8, ROWS = 3 };
#else
enum { LANES = 4, ROWS = 6 };
#endif
enum { VECTORS = 4, PANEL = VECTORS * LANES, TEXELS = LANES / 4 };

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef float f4 __attribute__((vector_size(16)));
typedef float f8 __attribute__((vector_size(32)));

TWIN_INLINE vf broadcast(float x) { return x - vf{}; }

TWIN_INLINE vf load(const float *from)
{
    vf result;
    memcpy(&result, from, sizeof result);
    return result;
}

TWIN_INLINE void store(float *to, vf value) { memcpy(to, &value, sizeof value); }

TWIN_INLINE vf select(vi condition, vf yes, vf no) { return (vf)((condition & (vi)yes) | (~condition & (vi)no)); }

// NaN where a is NaN. The instructions return their second operand if there is a NaN.
#if defined(__AVX512F__)
TWIN_INLINE vf minimum(vf a, vf b) { return (vf)_mm512_min_ps((__m512)b, (__m512)a); }
TWIN_INLINE vf maximum(vf a, vf b) { return (vf)_mm512_max_ps((__m512)b, (__m512)a); }
#elif defined(__AVX2__)
TWIN_INLINE vf minimum(vf a, vf b) { return (vf)_mm256_min_ps((__m256)b, (__m256)a); }
TWIN_INLINE vf maximum(vf a, vf b) { return (vf)_mm256_max_ps((__m256)b, (__m256)a); }
#else
TWIN_INLINE vf minimum(vf a, vf b) { return select(b < a, b, a); }
TWIN_INLINE vf maximum(vf a, vf b) { return select(b > a, b, a); }
#endif

// TEXELS texels, which lie anywhere, side by side.
TWIN_INLINE vf join(const f4 *parts)
{
    vf result;
    memcpy(&result, parts, sizeof result);
    return result;
}

TWIN_INLINE f4 load4(const float *from)
{
    f4 result;
    memcpy(&result, from, sizeof result);
    return result;
}

// Texels at the same offset from several places.
TWIN_INLINE vf join_at(const float *const *places, size_t offset)
{
    const f4 first = load4(places[0] + offset);
#if defined(__AVX2__)
    const f8 pair = __builtin_shufflevector(first, load4(places[1] + offset), 0, 1, 2, 3, 4, 5, 6, 7);
#endif
#if defined(__AVX512F__)
    const f4 third = load4(places[2] + offset);
    const f8 other = __builtin_shufflevector(third, load4(places[3] + offset), 0, 1, 2, 3, 4, 5, 6, 7);
    return __builtin_shufflevector(pair, other, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
#elif defined(__AVX2__)
    return pair;
#else
    return first;
#endif
}

// One texel of a vector.
TWIN_INLINE f4 part(vf value, int index)
{
#if defined(__AVX2__)
    switch (index) {
    case 1: return __builtin_shufflevector(value, value, 4, 5, 6, 7);
#if defined(__AVX512F__)
    case 2: return __builtin_shufflevector(value, value, 8, 9, 10, 11);
    case 3: return __builtin_shufflevector(value, value, 12, 13, 14, 15);
#endif
    default: return __builtin_shufflevector(value, value, 0, 1, 2, 3);
    }
#else
    (void)index;
    return value;
#endif
}

// 2^x = scale + scale * rest. For x <= 128; NaN for NaN.
struct power_of_two {
    vf scale, rest;
};

TWIN_INLINE power_of_two exp2_parts(vf x)
{
    const vf bounded = maximum(x, broadcast(-126.0f));
    const vf shifted = bounded + 0x1.8p23f;             // rounds to an integer, which its low bits then hold
    const vf r = bounded - (shifted - 0x1.8p23f);
    const vf scale = (vf)(((vi)shifted << 23) + 0x3f800000);
    // (2^r - 1) / r on [-1/2, 1/2], relative error 3e-8 before rounding.
    vf p = broadcast(0.00015453163f);
    p = p * r + 0.0013390863f;
    p = p * r + 0.009618083f;
    p = p * r + 0.05550357f;
    p = p * r + 0.2402265f;
    p = p * r + 0.6931472f;
    return {scale, p * r * scale};
}

constexpr float LOG2_E = 1.4426950408889634f;

TWIN_INLINE vf sigmoid(vf x)
{
    const power_of_two e = exp2_parts(minimum(x * -LOG2_E, broadcast(126.0f)));
    return 1.0f / (1.0f + (e.scale + e.rest));
}

// (e^2x - 1) / (e^2x + 1), with the difference taken before it can cancel.
TWIN_INLINE vf tanh(vf x)
{
    const power_of_two e = exp2_parts(minimum(x * (2.0f * LOG2_E), broadcast(60.0f)));
    const vf below = (e.scale - 1.0f) + e.rest;
    return below / (below + 2.0f);
}

} // namespace twin
} // namespace
#endif
