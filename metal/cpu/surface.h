// Textures as the twins see them: [slice][y][x] texels of four channels.
#ifndef TWIN_SURFACE_H
#define TWIN_SURFACE_H
#define MSL_SWIZZLES(M)
#include <metal_stdlib>
#include "twin.h"
#include "vector.h"

namespace {
namespace twin {

struct surface {
    struct msl_texture texture;
    size_t plane;               // texels of a slice
    bool is_float32;            // four of them to a texel

    explicit surface(const struct msl_texture &t)
        : texture(t), plane(size_t(t.width) * t.height), is_float32(t.pixel_format == msl::RGBA32Float)
    {
    }

    TWIN_INLINE float *floats(size_t index) const { return static_cast<float *>(texture.texels) + index * 4; }

    TWIN_INLINE f4 read(size_t index) const
    {
        if (is_float32)
            return load4(floats(index));
        if (texture.pixel_format == msl::RGBA16Float)
            return msl::load<msl::float16, 4>(texture.texels, index);
        return msl::load_any(&texture, index);
    }

    TWIN_INLINE void write(size_t index, f4 value) const
    {
        if (is_float32)
            memcpy(floats(index), &value, sizeof value);
        else if (texture.pixel_format == msl::RGBA16Float)
            msl::store<msl::float16, 4>(texture.texels, index, value);
        else
            msl::store_any(&texture, index, value);
    }

    // LANES channels of a pixel from slice `slice` on; zeros from slice `end` on.
    TWIN_INLINE vf read_channels(size_t pixel, uint32_t slice, uint32_t end) const
    {
        f4 parts[TEXELS];
        for (int i = 0; i < TEXELS; ++i)
            parts[i] = slice + i < end ? read((slice + i) * plane + pixel) : f4{};
        return join(parts);
    }

    TWIN_INLINE void write_channels(size_t pixel, uint32_t slice, uint32_t end, vf value) const
    {
#pragma GCC unroll 4
        for (int i = 0; i < TEXELS; ++i)
            if (slice + i < end)
                write((slice + i) * plane + pixel, part(value, i));
    }
};

} // namespace twin
} // namespace
#endif
