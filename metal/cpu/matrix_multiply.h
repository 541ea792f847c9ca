// Rows by panels of weights, the sums of a row always added up in the same order: those of DEPTH_BLOCK products each by
// themselves, and then what they come to.
#ifndef TWIN_MATRIX_MULTIPLY_H
#define TWIN_MATRIX_MULTIPLY_H
#include "matrix_rows.h"

namespace {
namespace twin {

// Products that are worked off before the next panel's turn: so many rows of weights stay in the first caches.
enum { DEPTH_BLOCK = 256 };
// Cache lines fetched ahead for every four products of a block of rows.
enum { FETCHED_LINES = 3 };

// Value (row, k) lies at values[k / 4 * slice_step + row * 4 + k % 4], weight (k, output) at weights[k * PANEL +
// output].
template <class W> struct matrix_factors {
    const W *weights;
    const typename multiplied_with<W>::type *values;
    size_t slice_step;
    uint32_t depth;
};

// Sum (row, output) lies at sums[row * PANEL + output] and begins with `start`, rows of `start_step` floats.
template <class W> struct matrix_product : matrix_factors<W> {
    const float *start;
    size_t start_step;
    float *sums;
    uint32_t block;             // products that are added up by themselves, and then to the sum; a multiple of four
    const float *begun;         // of one row: the sums of the block that begins with product `begun_at`; may be absent
    uint32_t begun_at;
};

// Cache lines that are wanted when the products are done, and that are fetched meanwhile, one now and then: all at once
// they would be waited for, before or after.
class wanted_lines {
public:
    struct run {
        const char *line;
        size_t step;
        uint32_t count;
    };

    // `count` lines, `step` bytes apart.
    void add(const void *first, size_t step, size_t count)
    {
        if (end < MOST && count > 0)
            runs[end++] = {static_cast<const char *>(first), step, uint32_t(count)};
    }

    // The next of one run, at most `most` of them.
    run take(uint32_t most)
    {
        if (begin == end)
            return {reinterpret_cast<const char *>(this), 0, 0};
        run &r = runs[begin];
        const run taken = {r.line, r.step, r.count < most ? r.count : most};
        r.line += taken.count * r.step;
        r.count -= taken.count;
        begin += r.count == 0;
        return taken;
    }

private:
    enum { MOST = 48 };
    run runs[MOST];
    uint32_t begin = 0, end = 0;
};

// What a block of rows fetches of them: a line of either run for every four products. A run that has ended goes on with
// its last line, for a branch in the midst of the products costs more than a line that is there already.
struct some_lines {
    wanted_lines::run first, second;

    some_lines(wanted_lines &wanted, uint32_t depth) : first(wanted.take(depth / 4)), second(wanted.take(depth / 4)) {}

    TWIN_INLINE void fetch(uint32_t k)
    {
        fetch_one(first, k);
        fetch_one(second, k);
    }

private:
    TWIN_INLINE static void fetch_one(wanted_lines::run &r, uint32_t k)
    {
        fetch_to_write(r.line);
        r.line += k + 4 < r.count * 4 ? r.step : 0;
    }
};

// What becomes of the products' sums of a block of rows, the first of which is `row`: here `to` = `before` + sum.
//
// An ending may ask for the sums of so many products each, a multiple of four, and parks them until it has them all.
struct add_sums {
    const float *before;
    size_t step;
    float *to;

    TWIN_INLINE static uint32_t chain() { return DEPTH_BLOCK; }

    template <int COUNT, int V> TWIN_INLINE static void park(vf (&)[COUNT][V], size_t, bool) {}

    // The pointers are copied, for a store might change what is referred to, as far as compilers know.
    template <int COUNT, int V> TWIN_INLINE void finish(const vf (&sum)[COUNT][V], size_t row, bool) const
    {
        float *const own = to + row * PANEL;
        const size_t own_step = step;
        const float *start = before + row * own_step;
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i, start += own_step)
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v)
                store(own + i * PANEL + v * LANES, load(start + v * LANES) + sum[i][v]);
    }
};

// Weights in the order of their use. Those that are not float become so on the way, and are put down for later rows.
struct taken_floats {
    const float *from;

    template <int V> TWIN_INLINE void take(vf (&to)[V])
    {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v)
            to[v] = load(from + v * LANES);
        from += PANEL;
    }
};

struct taken_halves {
    const half_bits *from;
    float *kept;

    template <int V> TWIN_INLINE void take(vf (&to)[V])
    {
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
            to[v] = load_elements(from + v * LANES);
            store(kept + v * LANES, to[v]);
        }
        from += PANEL;
        kept += PANEL;
    }
};

template <int COUNT, int V, class Weights, class Ending>
TWIN_INLINE void multiply_few_rows(const matrix_factors<float> &p, Weights weights, size_t row, const char *next,
                                   some_lines lines, const Ending &ending)
{
    vf sum[COUNT][V] = {};
    const float *values = p.values + row * 4;
    const uint32_t whole = p.depth / 4 * 4;
    const uint32_t chain = ending.chain();
    uint32_t k = 0;
    while (k < whole) {
        if (k > 0)
            ending.park(sum, row, k > chain);
        const uint32_t end = whole - k < chain ? whole : k + chain;
        for (; k < end; k += 4) {
#pragma GCC unroll 4
            for (int line = 0; line < FETCHED_LINES; ++line)
                __builtin_prefetch(next + line * 64, 0, 2);
            next += FETCHED_LINES * 64;
            lines.fetch(k);
#pragma GCC unroll 4
            for (int component = 0; component < 4; ++component) {
                vf w[V];
                weights.take(w);
#pragma GCC unroll 8
                for (int i = 0; i < COUNT; ++i) {
                    const vf value = broadcast(values[i * 4 + component]);
#pragma GCC unroll 4
                    for (int v = 0; v < V; ++v)
                        sum[i][v] += w[v] * value;
                }
            }
            values += p.slice_step;
        }
    }
    for (int component = 0; k < p.depth; ++k, ++component) {
        vf w[V];
        weights.take(w);
#pragma GCC unroll 8
        for (int i = 0; i < COUNT; ++i) {
            const vf value = broadcast(values[i * 4 + component]);
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v)
                sum[i][v] += w[v] * value;
        }
    }
    ending.finish(sum, row, whole > chain);
}

TWIN_INLINE const float *as_floats(const float *weights, float *) { return weights; }
TWIN_INLINE const float *as_floats(const half_bits *, float *scratch) { return scratch; }
TWIN_INLINE taken_floats taken_first(const float *weights, float *) { return {weights}; }
TWIN_INLINE taken_halves taken_first(const half_bits *weights, float *scratch) { return {weights, scratch}; }

template <int V, class Weights, class Ending>
TWIN_INLINE void multiply_some_rows(const matrix_factors<float> &p, Weights weights, size_t row, size_t count,
                                    const char *next, some_lines lines, const Ending &ending)
{
    switch (count) {
    case 6: multiply_few_rows<6, V>(p, weights, row, next, lines, ending); break;
    case 5: multiply_few_rows<5, V>(p, weights, row, next, lines, ending); break;
    case 4: multiply_few_rows<4, V>(p, weights, row, next, lines, ending); break;
    case 3: multiply_few_rows<3, V>(p, weights, row, next, lines, ending); break;
    case 2: multiply_few_rows<2, V>(p, weights, row, next, lines, ending); break;
    default: multiply_few_rows<1, V>(p, weights, row, next, lines, ending); break;
    }
}

// One block of the depth, and meanwhile `next` is fetched, of as many elements as there are weights. Rows in blocks of
// ROWS; what is left over in blocks as even as possible. `scratch`: as many floats, if the weights are not.
template <int V, class W, class Ending>
void multiply_block(const matrix_factors<W> &p, size_t rows, float *scratch, const Ending &ending, const W *next,
                    wanted_lines &wanted)
{
    const matrix_factors<float> floats = {as_floats(p.weights, scratch), p.values, p.slice_step, p.depth};
    const size_t all = size_t(p.depth) * PANEL * sizeof(W), some = p.depth / 4 * (FETCHED_LINES * 64);
    size_t fetched = 0;
    for (size_t row = 0; row < rows;) {
        const size_t blocks = (rows - row + ROWS - 1) / ROWS;
        const size_t count = (rows - row + blocks - 1) / blocks;
        const char *line = reinterpret_cast<const char *>(next) + fetched;
        const some_lines lines(wanted, p.depth);
        if (row == 0)
            multiply_some_rows<V>(floats, taken_first(p.weights, scratch), row, count, line, lines, ending);
        else
            multiply_some_rows<V>(floats, taken_floats{floats.weights}, row, count, line, lines, ending);
        row += count;
        fetched = fetched + some < all ? fetched + some : 0;
    }
}

// What half weights are multiplied as, a row at a time, where converting as many as a vector holds is slower.
#if defined(__AVX512F__)
typedef f8 narrow;
#else
typedef vf narrow;
#endif

// The block of the depth that begins with product `k`.
template <class W> matrix_factors<W> depth_block_of(const matrix_factors<W> &p, uint32_t k, uint32_t block)
{
    const uint32_t depth = p.depth - k < block ? p.depth - k : block;
    return {p.weights + size_t(k) * PANEL, p.values + k / 4 * p.slice_step, p.slice_step, depth};
}

template <int V, class W>
void multiply_by_vectors(const matrix_product<W> &p, size_t rows, float *scratch, wanted_lines &wanted)
{
    add_sums ending = {p.start, p.start_step, p.sums};
    for (uint32_t k = 0; k < p.depth; k += p.block) {
        const matrix_factors<W> block = depth_block_of<W>(p, k, p.block);
        multiply_block<V>(block, rows, scratch, ending, block.weights + size_t(block.depth) * PANEL, wanted);
        ending = {p.sums, PANEL, p.sums};
    }
}

// By so many of the panel's vectors. `scratch`: DEPTH_BLOCK * PANEL floats.
template <class W>
void multiply_many(const matrix_product<W> &p, size_t rows, uint32_t vectors, float *scratch, wanted_lines &wanted)
{
    switch (vectors) {
    case 1: multiply_by_vectors<1>(p, rows, scratch, wanted); break;
    case 2: multiply_by_vectors<2>(p, rows, scratch, wanted); break;
    case 3: multiply_by_vectors<3>(p, rows, scratch, wanted); break;
    default: multiply_by_vectors<VECTORS>(p, rows, scratch, wanted); break;
    }
}

template <class W> TWIN_INLINE vf load_weights(const W *from, vf) { return load_elements(from); }
#if defined(__AVX512F__)
TWIN_INLINE narrow load_weights(const half_bits *from, narrow)
{
    return load_8_halves(reinterpret_cast<const char *>(from));
}
#endif

// Adds the block of products that begins with `begin`, of one row by COUNT neighbouring panels: enough sums at a time to
// hide how long an addition takes. The values lie side by side.
template <class V, int COUNT, int PARTS, class W>
TWIN_INLINE void add_row(const matrix_product<W> &p, uint32_t begin, V (&sum)[COUNT][PARTS])
{
    enum { WIDTH = PANEL / PARTS };
    const uint32_t end = p.depth - begin < p.block ? p.depth : begin + p.block;
    const W *weights[COUNT];
    for (int i = 0; i < COUNT; ++i)
        weights[i] = p.weights + (size_t(p.depth) * i + begin) * PANEL;
#pragma GCC unroll 4
    for (uint32_t k = begin; k < end; ++k) {
        const V value = p.values[k] - V{};
#pragma GCC unroll 2
        for (int i = 0; i < COUNT; ++i) {
#pragma GCC unroll 8
            for (int v = 0; v < PARTS; ++v)
                sum[i][v] += load_weights(weights[i] + v * WIDTH, V{}) * value;
            weights[i] += PANEL;
        }
    }
}

template <class V> TWIN_INLINE V load_as(const float *from)
{
    V to;
    memcpy(&to, from, sizeof to);
    return to;
}

// The sums of COUNT panels lie `sums_step` floats apart.
template <class V, int COUNT, class W> void multiply_row_by(const matrix_product<W> &p, size_t sums_step)
{
    enum { WIDTH = sizeof(V) / sizeof(float), PARTS = PANEL / WIDTH };
    const float *start = p.start;
    size_t start_step = p.start_step;
    for (uint32_t begin = 0; begin < p.depth; begin += p.block) {
        V sum[COUNT][PARTS] = {};
        if (p.begun && begin == p.begun_at) {
#pragma GCC unroll 2
            for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
                for (int v = 0; v < PARTS; ++v)
                    sum[i][v] = load_as<V>(p.begun + PANEL * i + v * WIDTH);
        } else {
            add_row(p, begin, sum);
        }
#pragma GCC unroll 2
        for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
            for (int v = 0; v < PARTS; ++v) {
                const V after = load_as<V>(start + start_step * i + v * WIDTH) + sum[i][v];
                memcpy(p.sums + sums_step * i + v * WIDTH, &after, sizeof after);
            }
        start = p.sums;
        start_step = sums_step;
    }
}

// The sums of the block of products that begins with `begin`, by themselves.
template <class V, int COUNT, class W> void begin_row_by(const matrix_product<W> &p, uint32_t begin, float *to)
{
    enum { WIDTH = sizeof(V) / sizeof(float), PARTS = PANEL / WIDTH };
    V sum[COUNT][PARTS] = {};
    add_row(p, begin, sum);
#pragma GCC unroll 2
    for (int i = 0; i < COUNT; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < PARTS; ++v)
            memcpy(to + PANEL * i + v * WIDTH, &sum[i][v], sizeof sum[i][v]);
}

template <class V> struct row_vector {
    typedef V type;
};

// Calls `multiply` with what weights are multiplied as, a row at a time.
template <class W, class Multiply> TWIN_INLINE void with_row_vector(bool is_narrow, const Multiply &multiply)
{
    if constexpr (sizeof(W) < sizeof(float) && sizeof(narrow) < sizeof(vf))
        if (is_narrow)
            return multiply(row_vector<narrow>{});
    multiply(row_vector<vf>{});
}

// One row by one panel or two. `is_narrow`: half weights are converted less than a vector at a time, which changes nothing
// but how long it takes.
template <class W>
void multiply_row(const matrix_product<W> &p, uint32_t panels, size_t sums_step, bool is_narrow)
{
    with_row_vector<W>(is_narrow, [&](auto as) {
        typedef typename decltype(as)::type V;
        panels == 2 ? multiply_row_by<V, 2>(p, sums_step) : multiply_row_by<V, 1>(p, sums_step);
    });
}

template <class W>
void begin_row(const matrix_product<W> &p, uint32_t panels, uint32_t begin, float *to, bool is_narrow)
{
    with_row_vector<W>(is_narrow, [&](auto as) {
        typedef typename decltype(as)::type V;
        panels == 2 ? begin_row_by<V, 2>(p, begin, to) : begin_row_by<V, 1>(p, begin, to);
    });
}

} // namespace twin
} // namespace
#endif
