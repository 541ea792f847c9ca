// Applies a function of metal_stdlib to arrays: reads them from standard input, writes the results to standard output.
// Functions of floats are applied as four, three, two and one component; the results follow one another.
#define MSL_SWIZZLES(M)
#include <metal_stdlib>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
namespace metal {
struct arrays {
    const float *a, *b, *c;
    size_t count;
    float *out;
};

float at(const float *from, size_t i, float *) { return from[i]; }
template <int N> vec<float, N> at(const float *from, size_t i, vec<float, N> *)
{
    vec<float, N> v;
    for (int k = 0; k < N; ++k)
        v[k] = from[i + k];
    return v;
}
void put(float *to, size_t i, float v) { to[i] = v; }
template <class T, int N> void put(float *to, size_t i, vec<T, N> v)
{
    for (int k = 0; k < N; ++k)
        to[i + k] = float(v[k]);
}
void put(float *to, size_t i, msl::mask v) { put(to, i, bool4(v)); }

template <class V, int N, class F> void apply(arrays &x, F f)
{
    for (size_t i = 0; i < x.count; i += N)
        put(x.out, i, f(at(x.a, i, (V *)0), at(x.b, i, (V *)0), at(x.c, i, (V *)0)));
    x.out += x.count;
}
template <class F> void apply_all(arrays &x, F f)
{
    apply<float4, 4>(x, f);
    apply<float3, 3>(x, f);
    apply<float2, 2>(x, f);
    apply<float, 1>(x, f);
}

#define F(name, value)                                                                                             \
    if (strcmp(function, name) == 0)                                                                               \
        return apply_all(x, [](auto a, auto b, auto c) { (void)a, (void)b, (void)c; return value; });
void run(const char *function, arrays x)
{
    F("exp", exp(a)) F("exp2", exp2(a)) F("log", log(a)) F("log2", log2(a)) F("tanh", tanh(a)) F("sqrt", sqrt(a))
    F("rsqrt", rsqrt(a)) F("pow", pow(a, b)) F("powr", powr(a, b))
    F("precise::exp", metal::precise::exp(a)) F("fast::tanh", fast::tanh(a)) F("precise::pow", precise::pow(a, b))
    F("ceil", ceil(a)) F("floor", floor(a)) F("rint", rint(a)) F("trunc", trunc(a)) F("fract", fract(a))
    F("sign", sign(a)) F("copysign", copysign(a, b)) F("isnan", isnan(a)) F("isinf", isinf(a))
    F("isfinite", isfinite(a)) F("fabs", fabs(a)) F("abs", abs(a)) F("fmax", fmax(a, b)) F("fmin", fmin(a, b))
    F("max", max(a, b)) F("min", min(a, b)) F("clamp", clamp(a, b, c)) F("fma", fma(a, b, c)) F("mix", mix(a, b, c))
    F("step", step(a, b)) F("select", select(a, b, a < c)) F("+", a + b) F("-", a - b) F("*", a * b) F("/", a / b)
    F("2*-", 2 * -a) F("<=", a <= b) F("==", a == b)
    fprintf(stderr, "no function %s\n", function);
    exit(1);
}

void texels(const msl_texture &texture, const float4 *values, float4 *out)
{
    msl_dispatch dispatch = {};
    dispatch.textures[3] = texture;
    const msl::texture_argument argument(dispatch, 3, "");
    const texture2d_array<float, access::read_write> image(argument);
    for (uint z = 0; z < image.get_array_size(); ++z)
        for (uint y = 0; y < image.get_height(); ++y)
            for (uint x = 0; x < image.get_width(); ++x) {
                image.write(*values++, uint2(x, y), z);
                *out++ = image.read(ushort2(ushort(x), ushort(y)), ushort(z));
            }
}
} // namespace metal

int main(int, char **argv)
{
    using namespace metal;
    const size_t size = strtoul(argv[2], nullptr, 10);      // bytes on the pipe
    void *in = aligned_alloc(16, (size + 15) / 16 * 16), *out = calloc(4, size + 16);
    if (fread(in, 1, size, stdin) != size)
        return 1;
    size_t written = 0;
    if (strcmp(argv[1], "half to float") == 0) {
        for (size_t i = 0; i < size / 2; ++i)
            ((float *)out)[i] = float(((half *)in)[i]);
        for (size_t i = 0; i < size / 8; ++i)
            ((float4 *)((char *)out + size * 2))[i] = float4(((half4 *)in)[i]);
        written = 4 * size;
    } else if (strcmp(argv[1], "float to half") == 0) {
        for (size_t i = 0; i < size / 4; ++i)
            ((half *)out)[i] = half(((float *)in)[i]);
        for (size_t i = 0; i < size / 16; ++i)
            ((half4 *)((char *)out + size / 2))[i] = half4(((float4 *)in)[i]);
        written = size;
    } else if (strcmp(argv[1], "half arithmetic") == 0) {
        const half *a = (half *)in, *b = a + size / 4;
        half *to = (half *)out;
        for (size_t i = 0; i < size / 4; ++i) {
            *to++ = a[i] + b[i];
            *to++ = a[i] - b[i];
            *to++ = a[i] * b[i];
            *to++ = a[i] / b[i];
            *to++ = -a[i] + 1;
        }
        written = size / 2 * 5;
    } else if (strcmp(argv[1], "texels") == 0) {
        const uint width = 3, height = 2, slices = (uint)(size / 16 / 6);
        void *memory = malloc(size / 16 * atoi(argv[4]));
        texels({memory, width, height, slices, (uint)atoi(argv[3])}, (float4 *)in, (float4 *)out);
        fwrite(memory, 1, size / 16 * atoi(argv[4]), stdout);
        free(memory);
        written = size;
    } else {
        const float *values = (float *)in;
        const size_t count = size / 12;
        run(argv[1], {values, values + count, values + 2 * count, count, (float *)out});
        written = 16 * count;
    }
    fwrite(out, 1, written, stdout);
    free(in);
    free(out);
}
