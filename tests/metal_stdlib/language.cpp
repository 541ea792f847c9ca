// Layouts, constructors, swizzles, operators, conversions that exist and those that do not; with MSL_CHECKED pointers.
// Prints every check that fails; the exit status is 0 when none does.
#define MSL_SWIZZLES(M) \
    M(xy, 0, 1) M(yx, 1, 0) M(zw, 2, 3) M(xz, 0, 2) M(xx, 0, 0) M(xyz, 0, 1, 2) M(wzyx, 3, 2, 1, 0) M(bgr, 2, 1, 0)
#include <metal_stdlib>
#include <stdio.h>
#include <string.h>
#include <type_traits>
namespace metal {

template <class V> constexpr bool occupies(size_t size) { return sizeof(V) == size && alignof(V) == size; }
#define LAYOUT(T, n) static_assert(occupies<T##2>(2 * n) && occupies<T##3>(4 * n) && occupies<T##4>(4 * n), #T);
LAYOUT(bool, 1) LAYOUT(char, 1) LAYOUT(uchar, 1) LAYOUT(short, 2) LAYOUT(ushort, 2) LAYOUT(half, 2)
LAYOUT(int, 4) LAYOUT(uint, 4) LAYOUT(float, 4)

template <class A, class B> constexpr bool becomes = std::is_convertible_v<A, B>;
template <class A, class B> constexpr bool makes = std::is_constructible_v<B, A>;
static_assert(becomes<float, float4> && becomes<int, float4> && becomes<half, float4> && becomes<uint, int2>);
static_assert(becomes<float, half> && becomes<half, float> && makes<float, half4> && makes<float, int2>);
static_assert(!becomes<float4, half4> && !becomes<half4, float4> && !becomes<int2, uint2> && !becomes<float2, int2>);
static_assert(makes<float4, half4> && makes<half4, float4> && makes<int2, uint2> && makes<float2, int2>);
static_assert(!becomes<float, half4> && !becomes<float, int4> && !becomes<half, uint3>);
static_assert(!makes<float3, float4> && !makes<float4, float3> && !makes<float2, float> && !makes<float2, bool>);
static_assert(!becomes<bool4, float4> && !becomes<float4, bool4> && !makes<float *, float4>);
template <class A, class B, class = void> constexpr bool adds = false;
template <class A, class B> constexpr bool adds<A, B, std::void_t<decltype(A() + B())>> = true;
static_assert(adds<float4, float> && adds<int, float4> && adds<half, float4> && adds<half, int> && adds<half, half>);
static_assert(!adds<float4, half4> && !adds<float4, int4> && !adds<float4, float3> && !adds<half4, float>);
static_assert(!adds<int4, float> && !adds<uint2, int2>);
static_assert(std::is_same_v<decltype(half() + half()), half> && std::is_same_v<decltype(half() + 1.0f), float>);
static_assert(std::is_same_v<decltype(half() * 2), half> && std::is_same_v<decltype(2u - half()), half>);
constexpr float4 constant_vector(1, 2, 3, 4);
constexpr float4 constant_splat = 2.0f;

int failures = 0;
#define CHECK(condition)                                                                                           \
    if (!(condition)) {                                                                                            \
        ++failures;                                                                                                \
        fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
    }
template <class A, class V> bool is(A a, V v) { return all(V(a) == v); }

void constructors()
{
    const float2 p(1, 2), q(3, 4);
    const float3 t(1, 2, 3);
    CHECK(is(float4(p, q), constant_vector) && is(float4(p, 3, 4), constant_vector));
    CHECK(is(float4(1, float2(2, 3), 4), constant_vector) && is(float4(1, 2, q), constant_vector));
    CHECK(is(float4(t, 4), constant_vector) && is(float4(1, float3(2, 3, 4)), constant_vector));
    CHECK(is(float3(p, 3), t) && is(float3(1, float2(2, 3)), t) && is(float3(p.xy, 3u), t));
    CHECK(is(float4(p.xy, q.xy), constant_vector) && is(float4(half4(1, 2, 3, 4)), constant_vector));
    CHECK(is(int4(float4(1.9f, -1.9f, 0, 7)), int4(1, -1, 0, 7)) && is(uint2(int2(-1, 5)), uint2(~0u, 5u)));
    CHECK(is(half4(constant_vector) * half(2), half4(2, 4, 6, 8)) && is(constant_splat, float4(2, 2, 2, 2)));
    CHECK(is(short2(float2(3.7f, -3.7f)), short2(3, -3)) && is(float2(short2(-3, 4)), float2(-3, 4)));
    CHECK(is(uint2(constant_vector.xy), uint2(1, 2)) && is(char4(1, 2, 3, 4).zw, char2(3, 4)));
}

void swizzles()
{
    float4 v(1, 2, 3, 4);
    CHECK(is(v.xy, float2(1, 2)) && is(v.wzyx, float4(4, 3, 2, 1)) && is(v.xx, float2(1, 1)));
    CHECK(is(v.bgr, float3(3, 2, 1)) && v.r == 1 && v.a == 4 && v.w == 4 && v[2] == 3);
    v.xy = v.yx;
    CHECK(is(v, float4(2, 1, 3, 4)));
    v.zw = float2(8, 9);
    v.zw *= v.xy;
    v.xz += 1.0f;
    CHECK(is(v, float4(3, 1, 17, 9)));
    v.w = 5;
    v[0] += 1;
    v.xyz -= float3(1, 1, 1);
    CHECK(is(v, float4(3, 0, 16, 5)) && dot(v.xy, v.zw) == 48);
    float4 w = v;
    w.wzyx = v;
    CHECK(is(w, float4(5, 16, 0, 3)));
    w.wzyx = w.wzyx;
    CHECK(is(w, float4(5, 16, 0, 3)));
    short2 s(1, 2);
    s.yx = s;
    half4 h(1, 2, 3, 4);
    h.zw = h.xy + half(1);
    CHECK(is(s, short2(2, 1)) && is(h, half4(1, 2, 2, 3)) && h.x == half(1) && float(h.w) == 3);
    CHECK(max(v.x, 3.5f) == 3.5f && max(v.xy, float2(1, 1)).y == 1 && (v.x > 1 ? v.x : v.y) == 3);
}

void operators()
{
    const int4 i(7, -7, 8, 1), j(2, 2, 3, 31);
    CHECK(is(i / j, int4(3, -3, 2, 0)) && is(i % j, int4(1, -1, 2, 1)) && is(i << 1, int4(14, -14, 16, 2)));
    CHECK(is(~i & 3, int4(0, 2, 3, 2)) && is(uint2(6, 5) ^ uint2(3, 3), uint2(5, 6)) && is(i >> 1, int4(3, -4, 4, 0)));
    CHECK(is(ushort2(65535, 1) + ushort2(1, 1), ushort2(0, 2)) && is(uchar4(200) + uchar4(100), uchar4(44)));
    const float4 f(1, -2, 3, -4);
    const bool4 positive = f > 0;
    CHECK(positive.x && !positive.y && any(positive) && !all(positive) && all((!positive) == (f <= 0)));
    CHECK(all(f > -5 && f < 5) && !any(f > 3 || f < -4) && is(select(f, -f, f < 0), abs(f)));
    CHECK(is(select(f, -f, positive), -abs(f)) && is(select(i, j, i < j), max(i, j)) && any(f.xy < f.zw));
    CHECK(all(float3(1, 2, 3) == float3(1, 2, 3)) && any(half2(1, 2) != half2(1, 3)) && all(bool2(true, true)));
    CHECK(is(clamp(i, -1, 3), int4(3, -1, 3, 1)) && is(min(uint2(1, 9), uint2(5, 5)), uint2(1, 5)) && abs(-3) == 3);
    CHECK(max(half(1), half(2)) == half(2) && is(max(half2(1, 4), half2(2, 3)), half2(2, 4)));
    CHECK(dot(f, f) == 30 && dot(f.xyz, float3(1, 1, 1)) == 2 && as_type<uint>(1.0f) == 0x3f800000u);
    CHECK(as_type<half2>(0x40003c00u).y == half(2) && is(as_type<int4>(float4(0.0f)), int4(0)));
    half h = 1;
    h += 2;
    h *= half(0.5f);
    CHECK(h == half(1.5f) && h < 2 && -h == half(-1.5f) && 2 * h == half(3) && h / 2.0f == 0.75f);
    CHECK(is(metal::precise::exp(float2(0, 0)), float2(1, 1)) && fast::exp(0.0f) == 1);
}

#if MSL_CHECKED
void checked_pointers()
{
    float values[4] = {1, 2, 3, 4};
    msl_dispatch dispatch = {};
    dispatch.buffers[1] = {values, sizeof values, nullptr};
    const msl::buffer_argument argument(dispatch, 1, "outside");
    const msl_device<float> start = argument.pointer<float>();
    msl_device<float> p = start;
    CHECK(*p++ == 1 && *p == 2 && *++p == 3 && p[1] == 4 && p[-2] == 1 && p - start == 2);
    CHECK(*p-- == 3 && *--p == 1 && p == start && (p += 3) == start + 3 && (p -= 3) == start && 2 + p == p + 2);
    CHECK(p < p + 1 && p <= p && p + 1 > p && p >= p && p != p + 1 && (p + 2) - 1 == p + 1 && p);
    const msl_device<const float> read = p;
    const msl_device<const float2> pairs = (msl_device<const float2>)read;
    CHECK(read[3] == 4 && pairs[1].y == 4 && pairs->x == 1 && !dispatch.violation);
    p[3] = 9;
    CHECK(values[3] == 9 && !dispatch.violation);
    const float table[2] = {5, 6};
    msl_device<const float> plain = table;
    CHECK(plain[1] == 6 && !dispatch.violation);
    const uint far = 0xffffffffu;
    const msl_device<float> places[] = {start + 4, start - 1, start + far, start + (1l << 61)};
    for (msl_device<float> place : places) {
        dispatch.violation = nullptr;
        CHECK(*place == 0 && dispatch.violation && dispatch.violation[0] == 'o');
        *place = 7;
        CHECK(*place == 0);
    }
    dispatch.violation = nullptr;
    CHECK(((msl_device<float4>)(start + 1))->x == 0 && dispatch.violation);
    dispatch.violation = "first";
    CHECK(start[4] == 0 && dispatch.violation[0] == 'f');
    msl_device<float> null = nullptr;
    CHECK(null == nullptr && *null == 0 && dispatch.violation);
    msl_device<float> absent = msl::buffer_argument(dispatch, 2, "absent").pointer<float>();
    CHECK(!absent && absent == nullptr);
}

MSL_MEMBER(first_tag, "first")
MSL_MEMBER(second_tag, "second")
struct pair {
    msl_member<float, first_tag> first;
    msl_member<const float, second_tag> second;
};
static_assert(sizeof(pair) == 16 && alignof(pair) == 8 && std::is_trivially_copyable_v<pair>);
static_assert(becomes<msl_device<float>, msl_member<const float, second_tag>>);
static_assert(!becomes<msl_device<const float>, msl_member<float, first_tag>>);
static_assert(becomes<msl_member<float, first_tag>, msl_device<const float>>);
static_assert(!becomes<msl_member<const float, second_tag>, msl_device<float>>);
static_assert(!becomes<msl_member<float, first_tag>, msl_device<half>>);

bool says(const msl_dispatch &dispatch, const char *text)
{
    return dispatch.violation && !strcmp(dispatch.violation, text);
}

void members()
{
    float values[4] = {1, 2, 3, 4}, other[2] = {5, 6};
    const msl_resource used = {nullptr, values, sizeof values, MSL_ACCESS_READ | MSL_ACCESS_WRITE};
    msl_dispatch dispatch = {};
    dispatch.resources = &used;
    dispatch.buffers[4] = {other, sizeof other, nullptr};
    const msl_device<float> start = msl::buffer_argument(dispatch, 4, "outside").pointer<float>();
    pair p = {start, nullptr};
    CHECK(p.first == start && start == p.first && p.first && !p.second && p.second == nullptr && nullptr != p.first);
    CHECK(p.first[1] == 6 && *p.first == 5 && *(1 + p.first) == 6 && *(p.first + 2 - 1) == 6 && p.first - start == 0);
    p.second = p.first;
    CHECK(p.first == p.second && p.first <= p.second && p.second < start + 1 && start >= p.second);
    p.second += 2;
    p.second -= 1;
    CHECK(*p.second == 6 && p.second > start && !dispatch.violation);
    const msl_device<const half> narrow = (msl_device<const half>)p.second;
    CHECK(narrow[0] == half(0) && !dispatch.violation);
    const uintptr_t address = uintptr_t(values + 1);
    memcpy((void *)&p.first, &address, sizeof address);
    p.first[2] = 7;
    CHECK(values[3] == 7 && p.first[-1] == 1 && !dispatch.violation);
    CHECK(p.first[3] == 0 && says(dispatch, "access outside the resource that 'first' points into"));
    dispatch.violation = nullptr;
    p.second = nullptr;
    CHECK(p.second[1] == 0 && says(dispatch, "access through 'second', which is a null pointer"));
    dispatch.violation = nullptr;
    dispatch.resources = nullptr;
    CHECK(p.first && !dispatch.violation);
    CHECK(*p.first == 0 && says(dispatch, "'first' points into no resource that is bound or used"));
}
#else
void checked_pointers() {}
void members() {}
#endif
} // namespace metal

int main()
{
    metal::constructors();
    metal::swizzles();
    metal::operators();
    metal::checked_pointers();
    metal::members();
    return metal::failures != 0;
}
