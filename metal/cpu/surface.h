// Textures as the twins see them: [slice][y][x] texels of four channels.
#ifndef TWIN_SURFACE_H
#define TWIN_SURFACE_H
#define MSL_SWIZZLES(M)
#include <metal_stdlib>
#include "twin.h"
#include "vector.h"

namespace {
namespace twin {

#if defined(__AVX2__)
TWIN_INLINE f8 load_8_halves(const char *from)
{
    return (f8)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(from)));
}

TWIN_INLINE void store_8_halves(char *to, f8 value)
{
    _mm_storeu_si128(reinterpret_cast<__m128i *>(to), _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT));
}
#endif

TWIN_INLINE vf load_halves(const char *from)
{
#if defined(__AVX512F__)
    __m256i halves;
    memcpy(&halves, from, sizeof halves);
    return (vf)_mm512_cvtph_ps(halves);
#elif defined(__AVX2__)
    return load_8_halves(from);
#else
    return msl::load<msl::float16, 4>(from, 0);
#endif
}

TWIN_INLINE void store_halves(char *to, vf value)
{
#if defined(__AVX512F__)
    store_8_halves(to, __builtin_shufflevector(value, value, 0, 1, 2, 3, 4, 5, 6, 7));
    store_8_halves(to + 16, __builtin_shufflevector(value, value, 8, 9, 10, 11, 12, 13, 14, 15));
#elif defined(__AVX2__)
    store_8_halves(to, value);
#else
    msl::store<msl::float16, 4>(to, 0, value);
#endif
}

struct surface {
    struct msl_texture texture;
    size_t plane;               // texels of a slice
    bool is_float32, is_half;   // four of them to a texel

    explicit surface(const struct msl_texture &t)
        : texture(t), plane(size_t(t.width) * t.height), is_float32(t.pixel_format == msl::RGBA32Float),
          is_half(t.pixel_format == msl::RGBA16Float)
    {
    }

    // Rows of floats, four to a texel.
    static surface of_floats(float *texels, uint32_t width, uint32_t height)
    {
        return surface({texels, width, height, 1, msl::RGBA32Float});
    }

    TWIN_INLINE float *floats(size_t index) const { return static_cast<float *>(texture.texels) + index * 4; }

    TWIN_INLINE f4 read(size_t index) const
    {
        if (is_float32)
            return load4(floats(index));
        if (is_half)
            return msl::load<msl::float16, 4>(texture.texels, index);
        return msl::load_any(&texture, index);
    }

    TWIN_INLINE void write(size_t index, f4 value) const
    {
        if (is_float32)
            memcpy(floats(index), &value, sizeof value);
        else if (is_half)
            msl::store<msl::float16, 4>(texture.texels, index, value);
        else
            msl::store_any(&texture, index, value);
    }

    // Of RGBA32Float and RGBA16Float; what others lose by a wrong guess is little.
    TWIN_INLINE char *line_of(size_t index) const
    {
        return static_cast<char *>(texture.texels) + index * (is_float32 ? 16 : 8);
    }

    // TEXELS neighbouring texels.
    TWIN_INLINE vf read_texels(size_t index) const
    {
        if (is_float32)
            return load(floats(index));
        if (is_half)
            return load_halves(line_of(index));
        f4 parts[TEXELS];
        for (int i = 0; i < TEXELS; ++i)
            parts[i] = read(index + i);
        return join(parts);
    }

    TWIN_INLINE void write_texels(size_t index, vf value) const
    {
        if (is_float32) {
            twin::store(floats(index), value);
            return;
        }
        if (is_half) {
            store_halves(line_of(index), value);
            return;
        }
#pragma GCC unroll 4
        for (int i = 0; i < TEXELS; ++i)
            write(index + i, part(value, i));
    }

    // Fewer than TEXELS, with zeros for the others.
    __attribute__((noinline)) vf read_some(size_t index, int count) const
    {
        f4 parts[TEXELS];
        for (int i = 0; i < TEXELS; ++i)
            parts[i] = i < count ? read(index + i) : f4{};
        return join(parts);
    }

    __attribute__((noinline)) void write_some(size_t index, int count, vf value) const
    {
        for (int i = 0; i < count; ++i)
            write(index + i, part(value, i));
    }

    // ---- Of RGBA32Float and RGBA16Float only ----

    // A row of texels; NULL for one outside.
    TWIN_INLINE const char *line_at(size_t slice, int y) const
    {
        return y < 0 || y >= int(texture.height) ? nullptr : line_of(slice * plane + size_t(y) * texture.width);
    }

    // TEXELS of them.
    TWIN_INLINE vf read_line(const char *line, int x) const
    {
        if (!line)
            return vf{};
        if (is_float32)
            return load(reinterpret_cast<const float *>(line) + x * 4);
        return load_halves(line + x * 8);
    }

    // Brings the same texels of the next slice into the cache.
    TWIN_INLINE void fetch_next(const char *line, int x) const
    {
        if (line)
            __builtin_prefetch(line + (ptrdiff_t(plane) + x) * (is_float32 ? 16 : 8));
    }

    // TEXELS of them, some of which lie outside and are zero.
    __attribute__((noinline)) vf read_edge(const char *line, int x) const
    {
        f4 parts[TEXELS] = {};
        for (int i = 0; line && i < TEXELS; ++i) {
            if (x + i < 0 || x + i >= int(texture.width))
                continue;
            parts[i] = is_float32 ? load4(reinterpret_cast<const float *>(line) + (x + i) * 4)
                                  : msl::load<msl::float16, 4>(line, x + i);
        }
        return join(parts);
    }

    // ---- Of any format ----

    // Some of a row's texels, zeros where the row or the image has none.
    void copy_row(size_t slice, int x, int y, int count, float *to) const
    {
        const int width = int(texture.width);
        const bool is_inside = y >= 0 && y < int(texture.height);
        const int first = x < 0 ? -x : 0;
        const int last = !is_inside ? first : width - x < count ? width - x : count;
        const size_t start = slice * plane + size_t(y) * width + x;
        int i = 0;
        for (; i < first && i < count; ++i)
            memset(to + i * 4, 0, 16);
        for (; i + TEXELS <= last; i += TEXELS)
            twin::store(to + i * 4, read_texels(start + i));
        for (; i < last; ++i) {
            const f4 value = read(start + i);
            memcpy(to + i * 4, &value, sizeof value);
        }
        for (; i < count; ++i)
            memset(to + i * 4, 0, 16);
    }
};

} // namespace twin
} // namespace
#endif
