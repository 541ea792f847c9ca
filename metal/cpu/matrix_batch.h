// A whole vector of channels of neighbouring rows of a batch, all of which run: where each row's is.
//
// All addresses are worked out before the first store, for it might change what they come from, as far as compilers know.
#ifndef TWIN_MATRIX_BATCH_H
#define TWIN_MATRIX_BATCH_H
#include "matrix_rows.h"

namespace {
namespace twin {

// Rows that are finished together: each is a long chain of dependent operations, and the texels of TEXELS rows of an operand
// make a vector.
enum { BATCH = TEXELS > 2 ? TEXELS : 2 };

template <int COUNT> struct row_count {
    enum { value = COUNT };
};

// Calls `finish(how many, first row)`: BATCH rows at a time, and one by one what is left.
template <class Finish> TWIN_INLINE void finish_all_rows(size_t count, const Finish &finish)
{
    size_t i = 0;
    for (; i + BATCH <= count; i += BATCH)
        finish(row_count<BATCH>{}, i);
    for (; i < count; ++i)
        finish(row_count<1>{}, i);
}

// Of a matrix of the table.
struct batch_matrix {
    float *first;               // may be absent
    size_t step;

    batch_matrix(uint64_t address, size_t row, size_t stride, uint32_t channel)
        : first(address ? row_at<float>(address, row, stride) + channel : nullptr), step(stride)
    {
    }

    TWIN_INLINE vf get(size_t i) const { return load(first + i * step); }

    template <int COUNT> TWIN_INLINE void put(size_t i, const vf (&values)[COUNT]) const
    {
#pragma GCC unroll 4
        for (int k = 0; k < COUNT; ++k)
            store(first + (i + k) * step, values[k]);
    }
};

// Of an operand, whose elements are V.
template <class V> struct batch_operand {
    V *first;                   // may be absent
    size_t step;

    batch_operand(void *operand, size_t operand_step, size_t row, uint32_t channel)
        : first(operand ? static_cast<V *>(operand) + channel / 4 * operand_step + row * 4 : nullptr), step(operand_step)
    {
    }

    template <int COUNT> TWIN_INLINE void put(size_t i, const vf (&values)[COUNT]) const
    {
        if (!first)
            return;
        if constexpr (COUNT % TEXELS == 0) {
#pragma GCC unroll 4
            for (int k = 0; k < COUNT; k += TEXELS)
                store_rows_of_texels(first, step, 0, i + k, values + k);
        } else {
            static_assert(COUNT == 1, "rows are finished together or one by one");
            store_texels(first, step, 0, i, values[0]);
        }
    }
};

} // namespace twin
} // namespace
#endif
