// texture2d and texture2d_array over the memory of msl_texture.
#ifndef MSL_TEXTURE_H
#define MSL_TEXTURE_H
#include "msl_texel.h"

namespace msl {
namespace {

struct texture_argument : argument {
    const struct msl_texture &texture;

    MSL_INLINE texture_argument(const struct msl_dispatch &dispatch, int index, const char *violation)
        : argument(dispatch, violation), texture(dispatch.textures[index])
    {
    }
};

// What both kinds of texture are made of. A read outside the texture yields zeros, a write there is ignored.
class texels {
protected:
    MSL_INLINE explicit texels(const texture_argument &argument)
        : texture(argument.texture)
#if MSL_CHECKED
          , violation(argument.violation)
#endif
    {
    }

    MSL_INLINE metal::float4 load(uint32_t x, uint32_t y, uint32_t slice) const
    {
        metal::float4 value(0.0f);
        if (!contains(x, y, slice))
            return value;
        const size_t index = (size_t(slice) * texture.height + y) * texture.width + x;
        if (__builtin_expect(texture.pixel_format == RGBA32Float, true))
            value.v = msl::load<float32, 4>(texture.texels, index);
        else if (texture.pixel_format == RGBA16Float)
            value.v = msl::load<float16, 4>(texture.texels, index);
        else
            value.v = load_any(&texture, index);
        return value;
    }

    MSL_INLINE void store(metal::float4 value, uint32_t x, uint32_t y, uint32_t slice) const
    {
        if (!contains(x, y, slice))
            return;
        const size_t index = (size_t(slice) * texture.height + y) * texture.width + x;
        if (__builtin_expect(texture.pixel_format == RGBA32Float, true))
            msl::store<float32, 4>(texture.texels, index, value.v);
        else if (texture.pixel_format == RGBA16Float)
            msl::store<float16, 4>(texture.texels, index, value.v);
        else
            store_any(&texture, index, value.v);
    }

    struct msl_texture texture;

private:
    MSL_INLINE bool contains(uint32_t x, uint32_t y, uint32_t slice) const
    {
        const bool inside = x < texture.width && y < texture.height && slice < texture.slices;
#if MSL_CHECKED
        if (!inside)
            report(violation);
#endif
        return inside;
    }

#if MSL_CHECKED
    const char *violation;
#endif
};

} // namespace
} // namespace msl

namespace metal {
namespace {

enum class access { read, write, read_write };

template <class T, access mode> class texture2d;
template <access mode> class texture2d<float, mode> : msl::texels {
public:
    MSL_INLINE explicit texture2d(const msl::texture_argument &argument) : texels(argument) {}
    MSL_INLINE uint get_width(uint = 0) const { return texture.width; }
    MSL_INLINE uint get_height(uint = 0) const { return texture.height; }

    MSL_INLINE float4 read(uint2 place, uint = 0) const
    {
        static_assert(mode != access::write, "this texture can only be written");
        return load(place.x, place.y, 0);
    }
    MSL_INLINE float4 read(ushort2 place, ushort = 0) const { return read(uint2(place)); }

    MSL_INLINE void write(float4 value, uint2 place, uint = 0) const
    {
        static_assert(mode != access::read, "this texture can only be read");
        store(value, place.x, place.y, 0);
    }
    MSL_INLINE void write(float4 value, ushort2 place, ushort = 0) const { write(value, uint2(place)); }
};

template <class T, access mode> class texture2d_array;
template <access mode> class texture2d_array<float, mode> : msl::texels {
public:
    MSL_INLINE explicit texture2d_array(const msl::texture_argument &argument) : texels(argument) {}
    MSL_INLINE uint get_width(uint = 0) const { return texture.width; }
    MSL_INLINE uint get_height(uint = 0) const { return texture.height; }
    MSL_INLINE uint get_array_size() const { return texture.slices; }

    MSL_INLINE float4 read(uint2 place, uint slice, uint = 0) const
    {
        static_assert(mode != access::write, "this texture can only be written");
        return load(place.x, place.y, slice);
    }
    MSL_INLINE float4 read(ushort2 place, ushort slice, ushort = 0) const { return read(uint2(place), uint(slice)); }

    MSL_INLINE void write(float4 value, uint2 place, uint slice, uint = 0) const
    {
        static_assert(mode != access::read, "this texture can only be read");
        store(value, place.x, place.y, slice);
    }
    MSL_INLINE void write(float4 value, ushort2 place, ushort slice, ushort = 0) const
    {
        write(value, uint2(place), uint(slice));
    }
};

} // namespace
} // namespace metal
#endif
