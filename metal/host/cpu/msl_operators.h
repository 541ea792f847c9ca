// Operators of vectors. One operand may be a scalar, which then stands for a vector of equal components.
#ifndef MSL_OPERATORS_H
#define MSL_OPERATORS_H

namespace metal {
namespace {
template <class T, int N> struct vec;
} // namespace
} // namespace metal

namespace msl {
namespace {

// What comparing two vectors in registers yields: a mask, which `select`, `all` and `any` use as it is. It becomes a
// bool4 where one is asked for.
struct mask {
    i32x4 lanes;            // all bits set where true

    inline operator metal::vec<bool, 4>() const;
    friend MSL_INLINE mask operator!(mask a) { return {~a.lanes}; }
    friend MSL_INLINE mask operator&(mask a, mask b) { return {a.lanes & b.lanes}; }
    friend MSL_INLINE mask operator|(mask a, mask b) { return {a.lanes | b.lanes}; }
    friend MSL_INLINE mask operator^(mask a, mask b) { return {a.lanes ^ b.lanes}; }
    friend MSL_INLINE mask operator&&(mask a, mask b) { return a & b; }
    friend MSL_INLINE mask operator||(mask a, mask b) { return a | b; }
};

template <class T, int N> struct comparison { typedef metal::vec<bool, N> type; };
template <> struct comparison<float, 4> { typedef mask type; };
template <> struct comparison<int32_t, 4> { typedef mask type; };
template <> struct comparison<uint32_t, 4> { typedef mask type; };

#define MSL_ARITHMETIC(op)                                                                                        \
    friend MSL_INLINE V operator op(V a, V b)                                                                     \
    {                                                                                                             \
        V result;                                                                                                 \
        if constexpr (V::in_register)                                                                             \
            result.v = a.v op b.v;                                                                                \
        else                                                                                                      \
            for (int i = 0; i < N; ++i)                                                                           \
                result.v[i] = T(a.v[i] op b.v[i]);                                                                \
        return result;                                                                                            \
    }                                                                                                             \
    friend MSL_INLINE V &operator op##=(V &a, V b) { return a = a op b; }

#define MSL_COMPARISON(op)                                                                                        \
    friend MSL_INLINE typename comparison<T, N>::type operator op(V a, V b)                                       \
    {                                                                                                             \
        if constexpr (V::in_register) {                                                                           \
            return {(i32x4)(a.v op b.v)};                                                                         \
        } else {                                                                                                  \
            metal::vec<bool, N> result;                                                                           \
            for (int i = 0; i < N; ++i)                                                                           \
                result.v[i] = a.v[i] op b.v[i];                                                                   \
            return result;                                                                                        \
        }                                                                                                         \
    }

// The functions are friends, so they are found by the type of an operand and the other operand may convert. Those that
// T cannot do, such as float's %, do no harm until they are called.
template <class V, class T, int N> struct operators {
    MSL_ARITHMETIC(+)
    MSL_ARITHMETIC(-)
    MSL_ARITHMETIC(*)
    MSL_ARITHMETIC(/)
    MSL_ARITHMETIC(%)
    MSL_ARITHMETIC(&)
    MSL_ARITHMETIC(|)
    MSL_ARITHMETIC(^)
    MSL_ARITHMETIC(<<)
    MSL_ARITHMETIC(>>)
    MSL_COMPARISON(==)
    MSL_COMPARISON(!=)
    MSL_COMPARISON(<)
    MSL_COMPARISON(<=)
    MSL_COMPARISON(>)
    MSL_COMPARISON(>=)

    friend MSL_INLINE V operator+(V a) { return a; }
    friend MSL_INLINE V operator-(V a)
    {
        V result;
        if constexpr (V::in_register)
            result.v = -a.v;
        else
            for (int i = 0; i < N; ++i)
                result.v[i] = T(-a.v[i]);
        return result;
    }
    friend MSL_INLINE V operator~(V a) { return a ^ V(T(-1)); }
};

// Vectors of bool have logic instead.
template <class V, int N> struct operators<V, bool, N> {
    typedef bool T;
    MSL_ARITHMETIC(&)
    MSL_ARITHMETIC(|)
    MSL_ARITHMETIC(^)
    MSL_COMPARISON(==)
    MSL_COMPARISON(!=)

    friend MSL_INLINE V operator&&(V a, V b) { return a & b; }
    friend MSL_INLINE V operator||(V a, V b) { return a | b; }
    friend MSL_INLINE V operator!(V a) { return a ^ V(true); }
};

#undef MSL_ARITHMETIC
#undef MSL_COMPARISON

} // namespace
} // namespace msl
#endif
