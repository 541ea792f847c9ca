// Functions of Metal's standard library.
#ifndef MSL_MATH_H
#define MSL_MATH_H

// The same function for two, three and four components, one after the other.
#define MSL_EACH_1(T, R, name)                                                                                    \
    MSL_INLINE vec<R, 2> name(vec<T, 2> x) { return vec<R, 2>(name(x.x), name(x.y)); }                            \
    MSL_INLINE vec<R, 3> name(vec<T, 3> x) { return vec<R, 3>(name(x.x), name(x.y), name(x.z)); }                 \
    MSL_INLINE vec<R, 4> name(vec<T, 4> x) { return vec<R, 4>(name(x.x), name(x.y), name(x.z), name(x.w)); }
#define MSL_EACH_2_SHORT(T, name)                                                                                 \
    MSL_INLINE vec<T, 2> name(vec<T, 2> x, vec<T, 2> y) { return vec<T, 2>(name(x.x, y.x), name(x.y, y.y)); }     \
    MSL_INLINE vec<T, 3> name(vec<T, 3> x, vec<T, 3> y)                                                           \
    {                                                                                                             \
        return vec<T, 3>(name(x.x, y.x), name(x.y, y.y), name(x.z, y.z));                                         \
    }
#define MSL_EACH_2(T, name)                                                                                       \
    MSL_EACH_2_SHORT(T, name)                                                                                     \
    MSL_INLINE vec<T, 4> name(vec<T, 4> x, vec<T, 4> y)                                                           \
    {                                                                                                             \
        return vec<T, 4>(name(x.x, y.x), name(x.y, y.y), name(x.z, y.z), name(x.w, y.w));                         \
    }
#define MSL_FUNCTION_1(name, value)                                                                               \
    MSL_INLINE float name(float x) { return value; }                                                              \
    MSL_EACH_1(float, float, name)
#define MSL_PREDICATE(name, value)                                                                                \
    MSL_INLINE bool name(float x) { return value; }                                                               \
    MSL_EACH_1(float, bool, name)
#define MSL_FUNCTION_2(name, value)                                                                               \
    MSL_INLINE float name(float x, float y) { return value; }                                                     \
    MSL_EACH_2(float, name)

namespace metal {
namespace {

// The bits of x, read as a T.
template <class T, class S> MSL_INLINE T as_type(S x)
{
    static_assert(sizeof(T) == sizeof(S), "as_type between types of different sizes");
    T result;
    __builtin_memcpy(static_cast<void *>(&result), static_cast<const void *>(&x), sizeof result);
    return result;
}

// Exponentials, powers, roots -------------------------------------------------------------------------------

MSL_FUNCTION_1(exp, __builtin_expf(x))
MSL_FUNCTION_1(exp2, __builtin_exp2f(x))
MSL_FUNCTION_1(log, __builtin_logf(x))
MSL_FUNCTION_1(log2, __builtin_log2f(x))
MSL_FUNCTION_1(tanh, __builtin_tanhf(x))
MSL_FUNCTION_1(sqrt, __builtin_sqrtf(x))
MSL_FUNCTION_1(rsqrt, 1.0f / __builtin_sqrtf(x))
MSL_FUNCTION_2(pow, __builtin_powf(x, y))
MSL_FUNCTION_2(powr, x < 0.0f ? __builtin_nanf("") : __builtin_powf(x, y))

// Rounding and signs ----------------------------------------------------------------------------------------

MSL_FUNCTION_1(ceil, __builtin_ceilf(x))
MSL_FUNCTION_1(floor, __builtin_floorf(x))
MSL_FUNCTION_1(rint, __builtin_rintf(x))
MSL_FUNCTION_1(trunc, __builtin_truncf(x))
// Below 1 even where x - floor(x) rounds up to it.
MSL_INLINE float fract(float x)
{
    const float part = __builtin_isinf(x) ? 0.0f : x - __builtin_floorf(x);
    return part == 1.0f ? 0x1.fffffep-1f : part;
}
MSL_EACH_1(float, float, fract)
MSL_FUNCTION_1(sign, x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x == 0.0f ? x : 0.0f)
MSL_FUNCTION_2(copysign, __builtin_copysignf(x, y))
MSL_PREDICATE(isnan, __builtin_isnan(x))
MSL_PREDICATE(isinf, __builtin_isinf(x) != 0)
MSL_PREDICATE(isfinite, __builtin_isfinite(x))

// Minimum, maximum, absolute value --------------------------------------------------------------------------

// Of a number and a NaN the number counts.
MSL_INLINE float fmax(float x, float y) { return x > y || y != y ? x : y; }
MSL_INLINE float fmin(float x, float y) { return x < y || y != y ? x : y; }
MSL_INLINE float fabs(float x) { return __builtin_fabsf(x); }
MSL_EACH_2_SHORT(float, fmax)
MSL_EACH_2_SHORT(float, fmin)
MSL_INLINE float2 fabs(float2 x) { return float2(fabs(x.x), fabs(x.y)); }
MSL_INLINE float3 fabs(float3 x) { return float3(fabs(x.x), fabs(x.y), fabs(x.z)); }

MSL_INLINE float4 select(float4 a, float4 b, msl::mask c);
MSL_INLINE float4 fmax(float4 x, float4 y) { return select(y, x, x > y || y != y); }
MSL_INLINE float4 fmin(float4 x, float4 y) { return select(y, x, x < y || y != y); }
MSL_INLINE float4 fabs(float4 x)
{
    x.v = (msl::f32x4)((msl::u32x4)x.v & 0x7fffffff);
    return x;
}

// min, max and clamp of one type, from its scalar functions.
#define MSL_CLAMP(T)                                                                                              \
    MSL_INLINE T clamp(T x, T low, T high) { return min(max(x, low), high); }
#define MSL_CLAMPS(T) MSL_CLAMP(T) MSL_CLAMP(T##2) MSL_CLAMP(T##3) MSL_CLAMP(T##4)
#define MSL_ORDERED(T)                                                                                            \
    MSL_INLINE T max(T x, T y) { return x > y ? x : y; }                                                          \
    MSL_INLINE T min(T x, T y) { return x < y ? x : y; }                                                          \
    MSL_EACH_2(T, max)                                                                                            \
    MSL_EACH_2(T, min)                                                                                            \
    MSL_CLAMPS(T)
#define MSL_SIGNED(T)                                                                                             \
    MSL_INLINE T abs(T x) { return x < T(0) ? T(-x) : x; }                                                        \
    MSL_EACH_1(T, T, abs)
#define MSL_UNSIGNED(T)                                                                                           \
    MSL_INLINE T abs(T x) { return x; }                                                                           \
    MSL_EACH_1(T, T, abs)
#define MSL_ALIAS_FLOAT(T)                                                                                        \
    MSL_INLINE T max(T x, T y) { return fmax(x, y); }                                                             \
    MSL_INLINE T min(T x, T y) { return fmin(x, y); }                                                             \
    MSL_INLINE T abs(T x) { return fabs(x); }

MSL_ALIAS_FLOAT(float)
MSL_ALIAS_FLOAT(float2)
MSL_ALIAS_FLOAT(float3)
MSL_ALIAS_FLOAT(float4)
MSL_CLAMPS(float)
MSL_ORDERED(char)
MSL_ORDERED(uchar)
MSL_ORDERED(short)
MSL_ORDERED(ushort)
MSL_ORDERED(int)
MSL_ORDERED(uint)
MSL_ORDERED(half)
MSL_SIGNED(char)
MSL_SIGNED(short)
MSL_SIGNED(int)
MSL_SIGNED(half)
MSL_UNSIGNED(uchar)
MSL_UNSIGNED(ushort)
MSL_UNSIGNED(uint)

// Combinations ----------------------------------------------------------------------------------------------

MSL_INLINE float fma(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
MSL_INLINE float2 fma(float2 x, float2 y, float2 z) { return float2(fma(x.x, y.x, z.x), fma(x.y, y.y, z.y)); }
MSL_INLINE float3 fma(float3 x, float3 y, float3 z)
{
    return float3(fma(x.x, y.x, z.x), fma(x.y, y.y, z.y), fma(x.z, y.z, z.z));
}
MSL_INLINE float4 fma(float4 x, float4 y, float4 z)
{
#ifdef __FMA__
    z.v = (msl::f32x4)_mm_fmadd_ps((__m128)x.v, (__m128)y.v, (__m128)z.v);
    return z;
#else
    return float4(fma(x.x, y.x, z.x), fma(x.y, y.y, z.y), fma(x.z, y.z, z.z), fma(x.w, y.w, z.w));
#endif
}

#define MSL_COMBINATIONS(T)                                                                                       \
    MSL_INLINE T mix(T x, T y, T a) { return x + (y - x) * a; }                                                   \
    MSL_INLINE T step(T edge, T x) { return select(T(1.0f), T(0.0f), x < edge); }

#define MSL_SELECT(T)                                                                                             \
    MSL_INLINE T select(T a, T b, bool c) { return c ? b : a; }                                                   \
    MSL_INLINE T##2 select(T##2 a, T##2 b, bool2 c) { return T##2(c.x ? b.x : a.x, c.y ? b.y : a.y); }            \
    MSL_INLINE T##3 select(T##3 a, T##3 b, bool3 c)                                                               \
    {                                                                                                             \
        return T##3(c.x ? b.x : a.x, c.y ? b.y : a.y, c.z ? b.z : a.z);                                           \
    }                                                                                                             \
    MSL_INLINE T##4 select(T##4 a, T##4 b, bool4 c)                                                               \
    {                                                                                                             \
        return T##4(c.x ? b.x : a.x, c.y ? b.y : a.y, c.z ? b.z : a.z, c.w ? b.w : a.w);                          \
    }
#define MSL_SELECT_BY_MASK(T)                                                                                     \
    MSL_INLINE T##4 select(T##4 a, T##4 b, msl::mask c)                                                           \
    {                                                                                                             \
        a.v = (decltype(a.v))msl::blend(c.lanes, (msl::u32x4)b.v, (msl::u32x4)a.v);                               \
        return a;                                                                                                 \
    }
MSL_SELECT(char)
MSL_SELECT(uchar)
MSL_SELECT(short)
MSL_SELECT(ushort)
MSL_SELECT(int)
MSL_SELECT(uint)
MSL_SELECT(half)
MSL_SELECT(float)
MSL_SELECT_BY_MASK(float)
MSL_SELECT_BY_MASK(int)
MSL_SELECT_BY_MASK(uint)

MSL_COMBINATIONS(float)
MSL_COMBINATIONS(float2)
MSL_COMBINATIONS(float3)
MSL_COMBINATIONS(float4)

MSL_INLINE float dot(float2 x, float2 y) { return x.x * y.x + x.y * y.y; }
MSL_INLINE float dot(float3 x, float3 y) { return x.x * y.x + x.y * y.y + x.z * y.z; }
MSL_INLINE float dot(float4 x, float4 y)
{
    const float4 p = x * y;
    return p.x + p.y + p.z + p.w;
}

MSL_INLINE bool all(bool2 x) { return x.x && x.y; }
MSL_INLINE bool all(bool3 x) { return x.x && x.y && x.z; }
MSL_INLINE bool all(bool4 x) { return x.x && x.y && x.z && x.w; }
MSL_INLINE bool all(msl::mask x) { return all(bool4(x)); }
MSL_INLINE bool any(bool2 x) { return x.x || x.y; }
MSL_INLINE bool any(bool3 x) { return x.x || x.y || x.z; }
MSL_INLINE bool any(bool4 x) { return x.x || x.y || x.z || x.w; }
MSL_INLINE bool any(msl::mask x) { return any(bool4(x)); }

// Metal has a precise and a fast function of each of these names; here both are the precise one.
#define MSL_NAMED_PRECISION(precision)                                                                            \
    namespace precision {                                                                                         \
    using metal::exp;                                                                                             \
    using metal::exp2;                                                                                            \
    using metal::log;                                                                                             \
    using metal::log2;                                                                                            \
    using metal::pow;                                                                                             \
    using metal::powr;                                                                                            \
    using metal::rsqrt;                                                                                           \
    using metal::sqrt;                                                                                            \
    using metal::tanh;                                                                                            \
    }
MSL_NAMED_PRECISION(precise)
MSL_NAMED_PRECISION(fast)

} // namespace
} // namespace metal

#undef MSL_EACH_1
#undef MSL_EACH_2_SHORT
#undef MSL_EACH_2
#undef MSL_FUNCTION_1
#undef MSL_FUNCTION_2
#undef MSL_PREDICATE
#undef MSL_CLAMP
#undef MSL_CLAMPS
#undef MSL_ORDERED
#undef MSL_SIGNED
#undef MSL_UNSIGNED
#undef MSL_ALIAS_FLOAT
#undef MSL_COMBINATIONS
#undef MSL_SELECT
#undef MSL_SELECT_BY_MASK
#undef MSL_NAMED_PRECISION
#endif
