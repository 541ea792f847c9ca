// Elementary functions on whole vectors for every float, NaN and infinities included.
//
// Errors are relative to the exact value, in units of 2^-24, and 2^-147 besides, which only subnormals feel. They rest
// on fused multiplication and addition: every instruction set with twins has it, compilers make it of `x * y + z`.
#ifndef TWIN_ELEMENTARY_H
#define TWIN_ELEMENTARY_H
#include "vector.h"

namespace {
namespace twin {

TWIN_INLINE vf two_to_the(vi exponent) { return (vf)((exponent + 127) << 23); }

// e^x, error below 2. The power of two is taken in two halves: so the result overflows where it should, and becomes
// subnormal and zero with a single rounding.
TWIN_INLINE vf exponential(vf x)
{
    const vf bounded = clamp(x, -104.0f, 89.0f);
    const vf shifted = bounded * LOG2_E + ROUNDER;
    vf r = bounded * LOG2_E - (shifted - ROUNDER);
    r += bounded * LOG2_E_REST;
    const vi exponent = (vi)shifted - (vi)broadcast(ROUNDER), half = exponent >> 1;
    return (power_slope(r) * r + 1.0f) * two_to_the(half) * two_to_the(exponent - half);
}

// log(1 + x) for 0 <= x <= 1, error below 3 however small x is: 2 artanh(s), s = x / (2 + x).
TWIN_INLINE vf log_one_plus(vf x)
{
    const vf s = x / (x + 2.0f);
    const vf z = s * s;
    vf p = broadcast(0.28013346f);
    p = p * z + 0.28001553f;
    p = p * z + 0.40021542f;
    p = p * z + 0.66666418f;
    return 2.0f * s + s * z * p;
}

// log(x), error below 2; -infinity at zero, NaN below. x = 2^k (1 + f) with 1 + f between the square roots of 1/2 and
// 2, and log(1 + f) as above, but with f itself as the leading term, which has no error.
TWIN_INLINE vf logarithm(vf x)
{
    constexpr float LN2_HIGH = 0x1.62e3p-1f;        // few enough bits for exact products with k
    constexpr float LN2_REST = 9.0580006e-06f;
    constexpr int32_t SQRT_HALF = 0x3f3504f3;       // the bits of the float
    const vi is_tiny = x < 0x1p-126f;               // subnormal, zero or negative
    const vf normal = select(is_tiny, x * 0x1p23f, x);
    const vi exponent = ((vi)normal - SQRT_HALF) >> 23;
    const vf f = (vf)((vi)normal - (exponent << 23)) - 1.0f;
    const vf k = __builtin_convertvector(exponent, vf) + select(is_tiny, broadcast(-23.0f), vf{});
    const vf s = f / (f + 2.0f);
    const vf z = s * s;
    vf p = broadcast(0.29871207f);
    p = p * z + 0.39977565f;
    p = p * z + 0.66666776f;
    const vf h = 0.5f * f * f;
    const vf result = s * (p * z + h) + k * LN2_REST - h + f + k * LN2_HIGH;
    const vf at_most_zero = select(x == 0.0f, broadcast(-__builtin_inff()), broadcast(__builtin_nanf("")));
    const vf positive = select(x < __builtin_inff(), result, x);    // infinity and NaN are their own logarithms
    return select(x <= 0.0f, at_most_zero, positive);
}

// The kernel's approximation of erf, see metal/neuron.h: an absolute error below 3 * 2^-24.
TWIN_INLINE vf erf(vf x)
{
    const vf t = absolute(x);
    const vf u = x * x;
    vf p = broadcast(7.931461732368916e-05f);
    p = p * u - 0.0008034186903387308f;
    p = p * u + 0.0051911361515522f;
    p = p * u - 0.0268553514033556f;
    p = p * u + 0.11283624172210693f;
    p = p * u - 0.3761262893676758f;
    p = p * u + 1.128379225730896f;
    const vf v = minimum(t, broadcast(4.0f));       // where 1 - e^-q is 1
    vf q = broadcast(0.0011547976173460484f);
    q = q * v - 0.01481019239872694f;
    q = q * v + 0.08872631937265396f;
    q = q * v + 0.6543591022491455f;
    q = q * v + 1.1175283193588257f;
    q = q * v + 0.0026472529862076044f;
    const power_of_two e = exp_parts<false>(-q);
    const vf beyond = 1.0f - (e.scale + e.scale * e.rest);
    const vf tail = (vf)((vi)beyond | ((vi)x & INT32_MIN));
    return select(t >= 1.0f, tail, p * x);
}

} // namespace twin
} // namespace
#endif
