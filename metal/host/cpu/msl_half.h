// half: 16 bits in memory, float in every computation.
//
// The compilers' own 16-bit type calls a library function per conversion on x86 without F16C; this one does not.
#ifndef MSL_HALF_H
#define MSL_HALF_H
#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace msl {
namespace {

typedef float f32x4 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));

MSL_INLINE u32x4 blend(i32x4 mask, u32x4 where_set, u32x4 elsewhere)
{
    return ((u32x4)mask & where_set) | (~(u32x4)mask & elsewhere);
}

// Four halves travel as the 64 bits that they are in memory.

#if defined(__F16C__)

MSL_INLINE f32x4 half_to_float(uint64_t halves)
{
    return (f32x4)_mm_cvtph_ps(_mm_cvtsi64_si128((int64_t)halves));
}

MSL_INLINE uint64_t float_to_half(f32x4 value)
{
    return (uint64_t)_mm_cvtsi128_si64(_mm_cvtps_ph((__m128)value, _MM_FROUND_TO_NEAREST_INT));
}

#elif defined(__aarch64__)

typedef __fp16 f16x4 __attribute__((vector_size(8)));

MSL_INLINE f32x4 half_to_float(uint64_t halves)
{
    return __builtin_convertvector((f16x4)halves, f32x4);
}

MSL_INLINE uint64_t float_to_half(f32x4 value)
{
    return (uint64_t)__builtin_convertvector(value, f16x4);
}

#else

// Integer routines without branches. A NaN keeps the upper bits of its payload and becomes quiet, as in hardware.
// No operand or result is a subnormal float, so that a flush-to-zero mode of the thread changes nothing.

typedef uint16_t u16x8 __attribute__((vector_size(16)));
typedef uint64_t u64x2 __attribute__((vector_size(16)));

MSL_INLINE f32x4 half_to_float(uint64_t halves)
{
    const u16x8 low = (u16x8)(u64x2){halves, 0};
    const u32x4 upper = (u32x4)__builtin_shufflevector(low, u16x8{}, 8, 0, 9, 1, 10, 2, 11, 3);  // each half << 16
    const u32x4 magnitude = (upper & 0x7fff0000) >> 3;              // exponent and mantissa where a float has them
    const u32x4 has_exponent = (u32x4)((i32x4)magnitude > (1 << 23) - 1);
    const u32x4 is_special = (u32x4)((i32x4)magnitude > (31 << 23) - 1);
    // The bias of the exponent is 112 more. What has none becomes 2^-14 more, which is then taken away.
    const u32x4 biased = magnitude + (113u << 23) - (has_exponent & (1u << 23)) + (is_special & (112u << 23));
    const u32x4 value = (u32x4)((f32x4)biased - (f32x4)(~has_exponent & (113u << 23)));
    return (f32x4)(value | (upper & 0x80000000));
}

MSL_INLINE uint64_t float_to_half(f32x4 value)
{
    const u32x4 bits = (u32x4)value;
    const u32x4 magnitude = bits & 0x7fffffff;
    const i32x4 ordered = (i32x4)magnitude;                         // not negative: orders as the floats do
    const u32x4 odd = magnitude >> 13 & 1;
    const u32x4 normal = (magnitude - (112u << 23) + 0xfff + odd) >> 13;
    const u32x4 shift = u32x4{} + (126u << 23);                     // 0.5: its last bit weighs as half's least number
    const u32x4 subnormal = (u32x4)((f32x4)magnitude + (f32x4)shift) - shift;
    const u32x4 nan = (magnitude >> 13 & 0x3ff) | 0x7e00;
    const u32x4 special = blend(ordered > (255 << 23), nan, u32x4{} + 0x7c00);
    const u32x4 finite = blend(ordered < (113 << 23), subnormal, normal);
    const u64x2 wide = (u64x2)(blend(ordered >= (143 << 23), special, finite) | (bits >> 16 & 0x8000));
    const u32x4 pairs = (u32x4)(wide | wide >> 16);                 // two halves at the bottom of every 64 bits
    return ((u64x2)__builtin_shufflevector(pairs, pairs, 0, 2, 0, 2))[0];
}

#endif

template <class T> constexpr bool is_arithmetic = false;
template <> constexpr bool is_arithmetic<bool> = true;
template <> constexpr bool is_arithmetic<char> = true;
template <> constexpr bool is_arithmetic<signed char> = true;
template <> constexpr bool is_arithmetic<unsigned char> = true;
template <> constexpr bool is_arithmetic<short> = true;
template <> constexpr bool is_arithmetic<unsigned short> = true;
template <> constexpr bool is_arithmetic<int> = true;
template <> constexpr bool is_arithmetic<unsigned int> = true;
template <> constexpr bool is_arithmetic<long> = true;
template <> constexpr bool is_arithmetic<unsigned long> = true;
template <> constexpr bool is_arithmetic<float> = true;
template <class T> constexpr bool is_floating = false;
template <> constexpr bool is_floating<float> = true;

template <bool condition> struct when {};
template <> struct when<true> { typedef int type; };
template <bool condition> using require = typename when<condition>::type;

} // namespace
} // namespace msl

namespace metal {
namespace {

struct half {
    uint16_t bits;

    half() = default;
    template <class S, msl::require<msl::is_arithmetic<S>> = 0>
    MSL_INLINE half(S value) : bits(uint16_t(msl::float_to_half(msl::f32x4{float(value), 0, 0, 0}))) {}
    MSL_INLINE operator float() const { return msl::half_to_float(bits)[0]; }
    MSL_INLINE half operator-() const
    {
        half result;
        result.bits = bits ^ 0x8000;
        return result;
    }
};

} // namespace
} // namespace metal

namespace msl {
namespace {

template <> constexpr bool is_floating<metal::half> = true;
template <class T> constexpr bool is_scalar = is_arithmetic<T>;
template <> constexpr bool is_scalar<metal::half> = true;

// Of half and another scalar: float wins, integers become half.
template <class S> struct half_result { typedef metal::half type; };
template <> struct half_result<float> { typedef float type; };

} // namespace
} // namespace msl

namespace metal {
namespace {

#define MSL_HALF_OPERATOR(op)                                                                                     \
    MSL_INLINE half operator op(half a, half b) { return half(float(a) op float(b)); }                            \
    template <class S, msl::require<msl::is_arithmetic<S>> = 0>                                                   \
    MSL_INLINE typename msl::half_result<S>::type operator op(half a, S b)                                        \
    {                                                                                                             \
        return typename msl::half_result<S>::type(float(a) op float(b));                                          \
    }                                                                                                             \
    template <class S, msl::require<msl::is_arithmetic<S>> = 0>                                                   \
    MSL_INLINE typename msl::half_result<S>::type operator op(S a, half b)                                        \
    {                                                                                                             \
        return typename msl::half_result<S>::type(float(a) op float(b));                                          \
    }                                                                                                             \
    template <class S> MSL_INLINE half &operator op##=(half &a, S b) { return a = half(a op b); }
MSL_HALF_OPERATOR(+)
MSL_HALF_OPERATOR(-)
MSL_HALF_OPERATOR(*)
MSL_HALF_OPERATOR(/)
#undef MSL_HALF_OPERATOR

} // namespace
} // namespace metal
#endif
