// Texels in memory: what each pixel format reads as and stores. Components that a format lacks read as (0, 0, 0, 1).
#ifndef MSL_TEXEL_H
#define MSL_TEXEL_H

namespace msl {
namespace {

// MTLPixelFormat.
enum pixel_format : uint32_t {
    R8Unorm = 10, R16Unorm = 20, R16Float = 25, RG8Unorm = 30, R32Float = 55, RG16Unorm = 60, RG16Float = 65,
    RGBA8Unorm = 70, RG32Float = 105, RGBA16Unorm = 110, RGBA16Float = 115, RGBA32Float = 125
};

// A component in memory, and how four of them are decoded and encoded at once.
template <class T, int maximum> struct unorm {
    typedef T type;
    typedef T x4 __attribute__((vector_size(4 * sizeof(T))));

    static f32x4 decode(x4 stored) { return __builtin_convertvector(stored, f32x4) / float(maximum); }
    static x4 encode(f32x4 value)
    {
        value = (f32x4)((u32x4)value & (u32x4)(value > 0.0f));      // NaN and what is below 0 become 0
        value = (f32x4)blend(value < 1.0f, (u32x4)value, (u32x4)(f32x4{} + 1.0f));
        const f32x4 shift = f32x4{} + 0x1p23f;                      // rounds to nearest even
        return __builtin_convertvector((u32x4)(value * float(maximum) + shift) - (u32x4)shift, x4);
    }
};
typedef unorm<uint8_t, 255> unorm8;
typedef unorm<uint16_t, 65535> unorm16;

struct float16 {
    typedef uint16_t type;
    typedef uint64_t x4;

    static f32x4 decode(x4 stored) { return half_to_float(stored); }
    static x4 encode(f32x4 value) { return float_to_half(value); }
};

struct float32 {
    typedef float type;
    typedef f32x4 x4;

    static f32x4 decode(x4 stored) { return stored; }
    static x4 encode(f32x4 value) { return value; }
};

template <class component, int count> f32x4 load(const void *texels, size_t index)
{
    typename component::x4 stored = {};
    const size_t size = count * sizeof(typename component::type);
    __builtin_memcpy(&stored, static_cast<const char *>(texels) + index * size, size);
    f32x4 value = component::decode(stored);
    if constexpr (count < 4)
        value[3] = 1.0f;
    return value;
}

template <class component, int count> void store(void *texels, size_t index, f32x4 value)
{
    const typename component::x4 stored = component::encode(value);
    const size_t size = count * sizeof(typename component::type);
    __builtin_memcpy(static_cast<char *>(texels) + index * size, &stored, size);
}

// The device refuses to make a texture of a format that is not here.
#define MSL_EACH_FORMAT(M)                                                                                        \
    M(R8Unorm, unorm8, 1) M(RG8Unorm, unorm8, 2) M(RGBA8Unorm, unorm8, 4)                                         \
    M(R16Unorm, unorm16, 1) M(RG16Unorm, unorm16, 2) M(RGBA16Unorm, unorm16, 4)                                   \
    M(R16Float, float16, 1) M(RG16Float, float16, 2) M(RGBA16Float, float16, 4)                                   \
    M(R32Float, float32, 1) M(RG32Float, float32, 2) M(RGBA32Float, float32, 4)

__attribute__((noinline, unused)) static f32x4 load_any(const struct msl_texture *texture, size_t index)
{
#define MSL_LOAD(format, component, count) case format: return load<component, count>(texture->texels, index);
    switch (texture->pixel_format) {
        MSL_EACH_FORMAT(MSL_LOAD)
    }
#undef MSL_LOAD
    return f32x4{};
}

__attribute__((noinline, unused)) static void store_any(const struct msl_texture *texture, size_t index, f32x4 value)
{
#define MSL_STORE(format, component, count)                                                                       \
    case format:                                                                                                  \
        store<component, count>(texture->texels, index, value);                                                   \
        break;
    switch (texture->pixel_format) {
        MSL_EACH_FORMAT(MSL_STORE)
    }
#undef MSL_STORE
}

} // namespace
} // namespace msl
#endif
