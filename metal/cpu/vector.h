// Vectors of the instruction set that this is compiled for, four channels (one texel) to a quarter or a half of them.
#ifndef TWIN_VECTOR_H
#define TWIN_VECTOR_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__FMA__)
#pragma GCC diagnostic push
#if !defined(__clang__)
// GCC's own header initialises vectors with themselves, and GCC warns of it.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

#define TWIN_INLINED __attribute__((always_inline))
#define TWIN_INLINE inline TWIN_INLINED

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

// Brings a line into the cache that will be written.
TWIN_INLINE void fetch_to_write(const void *line)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" : : "m"(*static_cast<const char *>(line)));
#else
    __builtin_prefetch(line, 1);
#endif
}

// Whether all lanes are below a limit; not where one is NaN.
TWIN_INLINE bool all_below(vf value, float limit)
{
#if defined(__AVX512F__)
    return _mm512_cmp_ps_mask((__m512)value, _mm512_set1_ps(limit), _CMP_LT_OQ) == 0xffff;
#elif defined(__AVX2__)
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)value, _mm256_set1_ps(limit), _CMP_LT_OQ)) == 0xff;
#else
    const vi is_below = value < limit;
    return (is_below[0] & is_below[1] & is_below[2] & is_below[3]) != 0;
#endif
}

// Of numbers that are not negative; NaN counts as largest.
TWIN_INLINE vf largest(vf a, vf b) { return (vf)((vi)a > (vi)b ? (vi)a : (vi)b); }

TWIN_INLINE vf absolute(vf value) { return (vf)((vi)value & 0x7fffffff); }

// Lanes below `count`.
TWIN_INLINE vi lanes_below(int count)
{
    vi lane;
    for (int i = 0; i < LANES; ++i)
        lane[i] = i;
    return lane < count;
}

// Which lanes to load; the others become zero.
#if defined(__AVX512F__)
typedef __mmask16 lane_mask;
TWIN_INLINE lane_mask first_lanes(int count) { return lane_mask((1u << count) - 1); }
TWIN_INLINE vf load_lanes(const float *from, lane_mask lanes) { return (vf)_mm512_maskz_loadu_ps(lanes, from); }
#else
typedef vi lane_mask;
TWIN_INLINE lane_mask first_lanes(int count) { return lanes_below(count); }
TWIN_INLINE vf load_lanes(const float *from, lane_mask lanes) { return (vf)((vi)load(from) & lanes); }
#endif

// The texels of TEXELS vectors as a matrix, transposed.
TWIN_INLINE void transpose(vf *v)
{
#if defined(__AVX512F__)
    const vf a = v[0], b = v[1], c = v[2], d = v[3];
    const vf ab_low = __builtin_shufflevector(a, b, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const vf ab_high = __builtin_shufflevector(a, b, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    const vf cd_low = __builtin_shufflevector(c, d, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const vf cd_high = __builtin_shufflevector(c, d, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    v[0] = __builtin_shufflevector(ab_low, cd_low, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    v[1] = __builtin_shufflevector(ab_low, cd_low, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    v[2] = __builtin_shufflevector(ab_high, cd_high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    v[3] = __builtin_shufflevector(ab_high, cd_high, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
#elif defined(__AVX2__)
    const vf a = v[0], b = v[1];
    v[0] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
    v[1] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
#else
    (void)v;
#endif
}

constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LOG2_E_REST = 1.925963033500e-08f;     // what float leaves out
constexpr float ROUNDER = 0x1.8p23f;    // added to a float it leaves an integer, which the low bits then hold

// (2^r - 1) / r on [-1/2, 1/2], relative error 3e-8 before rounding.
TWIN_INLINE vf power_slope(vf r)
{
    vf p = broadcast(0.00015453163f);
    p = p * r + 0.0013390863f;
    p = p * r + 0.009618083f;
    p = p * r + 0.05550357f;
    p = p * r + 0.2402265f;
    return p * r + 0.6931472f;
}

// 2^x = scale + scale * rest, or scale + rest.
struct power_of_two {
    vf scale, rest;
};

TWIN_INLINE vf scale_of(vf shifted) { return (vf)(((vi)shifted << 23) + 0x3f800000); }

// 2^x = scale + rest. For x <= 128; NaN for NaN.
TWIN_INLINE power_of_two exp2_parts(vf x)
{
    const vf bounded = maximum(x, broadcast(-126.0f));
    const vf shifted = bounded + ROUNDER;
    const vf r = bounded - (shifted - ROUNDER);
    const vf scale = scale_of(shifted);
    return {scale, power_slope(r) * r * scale};
}

// e^x = scale + scale * rest, for |x| < 87. Where x may be larger than some 20, its product with LOG2_E has to be taken
// more exactly.
template <bool is_large> TWIN_INLINE power_of_two exp_parts(vf x)
{
    const vf shifted = x * LOG2_E + ROUNDER;
    vf r = x * LOG2_E - (shifted - ROUNDER);
    if (is_large)
        r += x * LOG2_E_REST;
    return {scale_of(shifted), power_slope(r) * r};
}

// Several at once, |x| up to some 20: step by step, for each of them alone would wait for itself all the time.
template <int COUNT> TWIN_INLINE void exp_parts_of(const vf *x, power_of_two *to)
{
    constexpr float slope[] = {0.00015453163f, 0.0013390863f, 0.009618083f, 0.05550357f, 0.2402265f, 0.6931472f};
    vf shifted[COUNT], r[COUNT], p[COUNT];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i)
        shifted[i] = x[i] * LOG2_E + ROUNDER;
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i)
        r[i] = x[i] * LOG2_E - (shifted[i] - ROUNDER);
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i)
        p[i] = slope[0] * r[i] + slope[1];
#pragma GCC unroll 4
    for (int k = 2; k < 6; ++k)
#pragma GCC unroll 4
        for (int i = 0; i < COUNT; ++i)
            p[i] = p[i] * r[i] + slope[k];
#pragma GCC unroll 4
    for (int i = 0; i < COUNT; ++i)
        to[i] = {scale_of(shifted[i]), p[i] * r[i]};
}

// NaN where x is NaN.
TWIN_INLINE vf clamp(vf x, float low, float high)
{
    return minimum(select(x < low, broadcast(low), x), broadcast(high));
}

// Relative error below 3 * 2^-24, and an absolute one of 2^-126: where it should be less still, it is just below that.
TWIN_INLINE vf sigmoid(vf x)
{
    const power_of_two e = exp_parts<true>(clamp(-x, -87.0f, 88.0f));
    return 1.0f / (1.0f + (e.scale + e.scale * e.rest));
}

// (e^2x - 1) / (e^2x + 1), with the difference taken before it can cancel: relative error below 5 * 2^-24, however
// small x is. The sign of a zero is lost.
TWIN_INLINE vf tanh(vf x)
{
    const power_of_two e = exp_parts<false>(clamp(x * 2.0f, -20.0f, 20.0f));
    const vf below = (e.scale - 1.0f) + e.scale * e.rest;
    return below / (below + 2.0f);
}

} // namespace twin
} // namespace
#endif
