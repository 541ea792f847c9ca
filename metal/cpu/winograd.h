// One dimension of Winograd's algorithm for four outputs, with a window of 3 or 5 taps: y = A^T ((G g) . (B^T d)).
//
// Interpolation points 0, +-sqrt(1/2), +-sqrt(2) and infinity for 3 taps: as fast as 0, +-1, +-2, with a quarter of the
// error. 0, +-1, +-2, +-1/2 and infinity for 5. The matrices follow from the points (Toom-Cook).
#ifndef TWIN_WINOGRAD_H
#define TWIN_WINOGRAD_H
#include "vector.h"

namespace {
namespace twin {

enum { TILE = 4 };      // outputs of a tile on each side

template <int TAPS> struct winograd;

template <> struct winograd<3> {
    enum { SIZE = 6 };

    static void filter(const double *g, double *to)
    {
        const double r = 0.70710678118654752;           // sqrt(1/2)
        to[0] = g[0];
        to[1] = -2.0 / 3.0 * (g[0] + r * g[1] + 0.5 * g[2]);
        to[2] = -2.0 / 3.0 * (g[0] - r * g[1] + 0.5 * g[2]);
        to[3] = 1.0 / 6.0 * (g[0] + 2.0 * r * g[1] + 2.0 * g[2]);
        to[4] = 1.0 / 6.0 * (g[0] - 2.0 * r * g[1] + 2.0 * g[2]);
        to[5] = g[2];
    }

    static TWIN_INLINE void input(const vf *d, vf *to)
    {
        const vf even_a = d[4] - 2.0f * d[2], odd_a = d[3] - 2.0f * d[1];
        const vf even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
        to[0] = d[0] + d[4] - 2.5f * d[2];
        to[1] = even_a + 0.70710678f * odd_a;
        to[2] = even_a - 0.70710678f * odd_a;
        to[3] = even_b + 1.41421356f * odd_b;
        to[4] = even_b - 1.41421356f * odd_b;
        to[5] = d[1] + d[5] - 2.5f * d[3];
    }

    static TWIN_INLINE void output(const vf *w, vf *to)
    {
        const vf sum_a = w[1] + w[2], difference_a = w[1] - w[2];
        const vf sum_b = w[3] + w[4], difference_b = w[3] - w[4];
        to[0] = w[0] + sum_a + sum_b;
        to[1] = 0.70710678f * difference_a + 1.41421356f * difference_b;
        to[2] = 0.5f * sum_a + 2.0f * sum_b;
        to[3] = w[5] + 0.35355339f * difference_a + 2.82842712f * difference_b;
    }
};

template <> struct winograd<5> {
    enum { SIZE = 8 };

    static void filter(const double *g, double *to)
    {
        const double points[] = {1.0, -1.0, 2.0, -2.0, 0.5, -0.5};
        const double factors[] = {-2.0 / 9.0, -2.0 / 9.0, 1.0 / 90.0, 1.0 / 90.0, 32.0 / 45.0, 32.0 / 45.0};
        to[0] = -g[0];
        for (int i = 0; i < 6; ++i) {
            const double p = points[i];
            to[i + 1] = factors[i] * (g[0] + p * (g[1] + p * (g[2] + p * (g[3] + p * g[4]))));
        }
        to[7] = g[4];
    }

    static TWIN_INLINE void input(const vf *d, vf *to)
    {
        const vf even_a = d[2] + d[6] - 4.25f * d[4], odd_a = d[1] + d[5] - 4.25f * d[3];
        const vf even_b = d[6] + 0.25f * d[2] - 1.25f * d[4], odd_b = d[5] + 0.25f * d[1] - 1.25f * d[3];
        const vf even_c = d[6] + 4.0f * d[2] - 5.0f * d[4], odd_c = d[5] + 4.0f * d[1] - 5.0f * d[3];
        to[0] = d[6] - d[0] + 5.25f * (d[2] - d[4]);
        to[1] = even_a + odd_a;
        to[2] = even_a - odd_a;
        to[3] = even_b + 2.0f * odd_b;
        to[4] = even_b - 2.0f * odd_b;
        to[5] = even_c + 0.5f * odd_c;
        to[6] = even_c - 0.5f * odd_c;
        to[7] = d[7] - d[1] + 5.25f * (d[3] - d[5]);
    }

    static TWIN_INLINE void output(const vf *w, vf *to)
    {
        const vf sum_a = w[1] + w[2], difference_a = w[1] - w[2];
        const vf sum_b = w[3] + w[4], difference_b = w[3] - w[4];
        const vf sum_c = w[5] + w[6], difference_c = w[5] - w[6];
        to[0] = w[0] + sum_a + sum_b + sum_c;
        to[1] = difference_a + 2.0f * difference_b + 0.5f * difference_c;
        to[2] = sum_a + 4.0f * sum_b + 0.25f * sum_c;
        to[3] = w[7] + difference_a + 8.0f * difference_b + 0.125f * difference_c;
    }
};

} // namespace twin
} // namespace
#endif
