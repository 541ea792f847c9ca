// vec<T, N>: float4 and its kin, with Metal's sizes, alignments, constructors, operators and swizzles.
#ifndef MSL_VECTOR_H
#define MSL_VECTOR_H
#include "msl_operators.h"

namespace msl {
namespace {

// How a vector lies in memory. Four 32-bit components are a vector of the compiler, so that their arithmetic is SIMD at
// every optimisation level and in every instruction set; the rest are arrays.
template <class T, int N> struct storage { typedef T type[N]; };
template <> struct storage<float, 4> { typedef f32x4 type; };
template <> struct storage<int32_t, 4> { typedef i32x4 type; };
template <> struct storage<uint32_t, 4> { typedef u32x4 type; };

// Whether `T t = s` loses only what Metal lets it lose: no floating number becomes an integer, no float a half.
template <class S, class T>
constexpr bool widens = is_scalar<S> && (!is_floating<S> || (is_floating<T> && sizeof(S) <= sizeof(T)));

constexpr bool all_different(int) { return true; }
template <class... Rest> constexpr bool all_different(int first, Rest... rest)
{
    return ((first != rest) && ...) && all_different(rest...);
}
template <class... Rest> constexpr int count(Rest...) { return sizeof...(Rest); }

// A member such as `xy` of a vector: it overlays the whole vector and picks components of it.
template <class V, class T, int N, int... index> struct swizzle {
    typename storage<T, N>::type v;

    swizzle() = default;
    swizzle(const swizzle &) = default;
    MSL_INLINE operator V() const
    {
        static_assert(((index < N) && ...), "this vector does not have all the components that the swizzle names");
        return V(v[index]...);
    }
    MSL_INLINE swizzle &operator=(V value)
    {
        static_assert(((index < N) && ...), "this vector does not have all the components that the swizzle names");
        static_assert(all_different(index...), "a swizzle that names a component twice cannot be assigned to");
        int next = 0;
        ((v[index] = value[next++]), ...);
        return *this;
    }
    MSL_INLINE swizzle &operator=(const swizzle &other) { return *this = V(other); }
    MSL_INLINE swizzle &operator+=(V value) { return *this = V(*this) + value; }
    MSL_INLINE swizzle &operator-=(V value) { return *this = V(*this) - value; }
    MSL_INLINE swizzle &operator*=(V value) { return *this = V(*this) * value; }
    MSL_INLINE swizzle &operator/=(V value) { return *this = V(*this) / value; }
};

#define MSL_SWIZZLE_MEMBER(name, ...) msl::swizzle<metal::vec<T, msl::count(__VA_ARGS__)>, T, N, __VA_ARGS__> name;

// The data of a vector under all its names.
template <class T, int size> struct components;
template <class T> struct alignas(2 * sizeof(T)) components<T, 2> {
    static constexpr int N = 2;
    union {
        typename storage<T, 2>::type v;
        struct { T x, y; };
        struct { T r, g; };
        MSL_SWIZZLES(MSL_SWIZZLE_MEMBER)
    };
};
template <class T> struct alignas(4 * sizeof(T)) components<T, 3> {
    static constexpr int N = 3;
    union {
        typename storage<T, 3>::type v;
        struct { T x, y, z; };
        struct { T r, g, b; };
        MSL_SWIZZLES(MSL_SWIZZLE_MEMBER)
    };
};
template <class T> struct alignas(4 * sizeof(T)) components<T, 4> {
    static constexpr int N = 4;
    union {
        typename storage<T, 4>::type v;
        T element[4];
        struct { T x, y, z, w; };
        struct { T r, g, b, a; };
        MSL_SWIZZLES(MSL_SWIZZLE_MEMBER)
    };
};

// How many components a constructor's argument brings: 0 for what is neither a scalar nor a vector of T.
template <class A, class T> constexpr int width_of = is_scalar<A> ? 1 : 0;
template <class T, int N> constexpr int width_of<metal::vec<T, N>, T> = N;
template <class V, class T, int N, int... index>
constexpr int width_of<swizzle<V, T, N, index...>, T> = sizeof...(index);

template <int... index> struct indices {};
template <int N> struct indices_below;
template <> struct indices_below<2> { typedef indices<0, 1> type; };
template <> struct indices_below<3> { typedef indices<0, 1, 2> type; };
template <> struct indices_below<4> { typedef indices<0, 1, 2, 3> type; };

} // namespace
} // namespace msl

namespace metal {
namespace {

template <class T, int N> struct vec : msl::components<T, N>, msl::operators<vec<T, N>, T, N> {
    typedef msl::components<T, N> base;
    using base::v;
    static constexpr bool in_register = N == 4 && sizeof(T) == 4;

    vec() = default;
    vec(const vec &) = default;
    MSL_INLINE vec &operator=(const vec &other)
    {
        __builtin_memcpy(static_cast<void *>(&v), &other.v, sizeof v);
        return *this;
    }

    // One scalar for all components; implicit where the scalar converts without loss of kind.
    template <class S, msl::require<msl::widens<S, T>> = 0>
    MSL_INLINE constexpr vec(S s) : vec(T(s), typename msl::indices_below<N>::type()) {}
    template <class S, msl::require<msl::is_scalar<S> && !msl::widens<S, T>> = 0, class = void>
    MSL_INLINE constexpr explicit vec(S s) : vec(T(s), typename msl::indices_below<N>::type()) {}

    // A scalar per component.
    template <class... S, msl::require<sizeof...(S) == N && (msl::is_scalar<S> && ...)> = 0>
    MSL_INLINE constexpr explicit vec(S... s) : base{{{T(s)...}}} {}

    // Scalars and shorter vectors, N components together.
    template <class... A, msl::require<(sizeof...(A) > 1 && sizeof...(A) < N) && ((msl::width_of<A, T> > 0) && ...) &&
                                       (msl::width_of<A, T> + ... + 0) == N> = 0>
    MSL_INLINE explicit vec(A... arguments)
    {
        int next = 0;
        (append(next, arguments), ...);
    }

    // The same number of components of another type.
    template <class U> MSL_INLINE explicit vec(const vec<U, N> &other) { convert(other); }
    template <class U, int M, int... index, msl::require<sizeof...(index) == N> = 0>
    MSL_INLINE explicit vec(const msl::swizzle<vec<U, N>, U, M, index...> &other)
    {
        convert(other.operator vec<U, N>());
    }

    MSL_INLINE T operator[](int i) const { return v[i]; }
    MSL_INLINE T &operator[](int i)
    {
        if constexpr (in_register)
            return base::element[i];
        else
            return v[i];
    }

private:
    template <int... index>
    MSL_INLINE constexpr vec(T s, msl::indices<index...>) : base{{{(void(index), s)...}}} {}

    template <class A> MSL_INLINE void append(int &next, A part)
    {
        if constexpr (msl::is_scalar<A>) {
            v[next++] = T(part);
        } else {
            const vec<T, msl::width_of<A, T>> values = part;
            for (int i = 0; i < msl::width_of<A, T>; ++i)
                v[next++] = values[i];
        }
    }

    template <class U> MSL_INLINE void convert(const vec<U, N> &other)
    {
        if constexpr (in_register && vec<U, N>::in_register)
            v = __builtin_convertvector(other.v, typename msl::storage<T, N>::type);
        else
            for (int i = 0; i < N; ++i)
                v[i] = T(other[i]);
    }
};

// Two conversions that kernels with half weights are made of.
template <> template <> MSL_INLINE void vec<float, 4>::convert(const vec<half, 4> &other)
{
    uint64_t halves;
    __builtin_memcpy(&halves, &other, sizeof halves);
    v = msl::half_to_float(halves);
}
template <> template <> MSL_INLINE void vec<half, 4>::convert(const vec<float, 4> &other)
{
    const uint64_t halves = msl::float_to_half(other.v);
    __builtin_memcpy(static_cast<void *>(this), &halves, sizeof halves);
}

typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;

#define MSL_VECTOR_TYPES(T)    \
    typedef vec<T, 2> T##2;    \
    typedef vec<T, 3> T##3;    \
    typedef vec<T, 4> T##4;
MSL_VECTOR_TYPES(bool)
MSL_VECTOR_TYPES(char)
MSL_VECTOR_TYPES(uchar)
MSL_VECTOR_TYPES(short)
MSL_VECTOR_TYPES(ushort)
MSL_VECTOR_TYPES(int)
MSL_VECTOR_TYPES(uint)
MSL_VECTOR_TYPES(half)
MSL_VECTOR_TYPES(float)
#undef MSL_VECTOR_TYPES

} // namespace
} // namespace metal

namespace msl {
namespace {

MSL_INLINE mask::operator metal::vec<bool, 4>() const
{
    return metal::bool4(lanes[0] != 0, lanes[1] != 0, lanes[2] != 0, lanes[3] != 0);
}

} // namespace
} // namespace msl
#endif
