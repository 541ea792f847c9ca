// What pointers of a kernel source become. Plain pointers; in checked kernels each knows what it may point at.
//
// msl_device<T> is `device T *` and `constant T *`, msl_threadgroup<T> `threadgroup T *`. msl_member<T, Tag> is the
// first of them as a member of a struct: eight bytes in every build, as the host writes them into a buffer.
#ifndef MSL_POINTER_H
#define MSL_POINTER_H

namespace msl {
namespace {

// Zeros in place of what is not there. What can be written, and then read again, is each thread's own.
template <class T> struct nothing {
    static inline thread_local T value{};

    static T &zeroed()
    {
        __builtin_memset(static_cast<void *>(&value), 0, sizeof value);
        return value;
    }
};
template <class T> struct nothing<const T> {
    static inline const T value{};

    static const T &zeroed() { return value; }
};

} // namespace
} // namespace msl

#if !MSL_CHECKED

#define MSL_MEMBER(tag, name) struct tag;
#define MSL_SHARED(name, ...) auto &name = static_cast<__VA_ARGS__ *>(msl_memory_)->name
template <class T> using msl_device = T *;
template <class T> using msl_threadgroup = T *;
template <class T, class Tag> using msl_member = T *;

#else

namespace msl {
namespace {

// What this thread works on: where pointers find what they may point at, and leave their messages.
thread_local const struct msl_dispatch *current_dispatch;

// The device hands the dispatch out read-only, this one member excepted.
inline void report(const char *violation)
{
    const char *none = nullptr;
    const char **place = const_cast<const char **>(&current_dispatch->violation);
    __atomic_compare_exchange_n(place, &none, violation, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

template <class A, class B> constexpr bool is_same = false;
template <class A> constexpr bool is_same<A, A> = true;
template <class T> constexpr bool is_const = false;
template <class T> constexpr bool is_const<const T> = true;

// Does T * become U * by itself?
template <class T, class U> constexpr bool is_qualified = is_same<const T, const U> && (is_const<U> || !is_const<T>);

template <bool> struct only_if {};
template <> struct only_if<true> {
    typedef int type;
};

// A pointer that knows what it may point at. One made from a plain pointer (the address of a member of an argument, a
// table of the kernel source) has no bounds.
template <class T> class checked_pointer {
public:
    checked_pointer() = default;
    checked_pointer(T *target)
        : address(uintptr_t(target)), begin(0), end(target ? UINTPTR_MAX : 0),
          violation("access through a null pointer")
    {
    }
    checked_pointer(uintptr_t address, const void *contents, size_t length, const char *violation)
        : address(address), begin(uintptr_t(contents)), end(begin + length), violation(violation)
    {
    }
    operator checked_pointer<const T>() const { return convert<const T>(); }
    template <class U> explicit operator checked_pointer<U>() const { return convert<U>(); }
    explicit operator bool() const { return address != 0; }
    uintptr_t value() const { return address; }

    T &operator*() const
    {
        if (address < begin || address > end || end - address < sizeof(T)) {
            report(violation);
            return nothing<T>::zeroed();
        }
        return *reinterpret_cast<T *>(address);
    }
    T *operator->() const { return &**this; }
    T &operator[](ptrdiff_t index) const { return *(*this + index); }

    checked_pointer &operator+=(ptrdiff_t count)
    {
        address += count * sizeof(T);
        return *this;
    }
    checked_pointer &operator-=(ptrdiff_t count) { return *this += -count; }
    checked_pointer &operator++() { return *this += 1; }
    checked_pointer &operator--() { return *this += -1; }
    checked_pointer operator++(int)
    {
        const checked_pointer before = *this;
        *this += 1;
        return before;
    }
    checked_pointer operator--(int)
    {
        const checked_pointer before = *this;
        *this += -1;
        return before;
    }
    friend checked_pointer operator+(checked_pointer a, ptrdiff_t count) { return a += count; }
    friend checked_pointer operator+(ptrdiff_t count, checked_pointer a) { return a += count; }
    friend checked_pointer operator-(checked_pointer a, ptrdiff_t count) { return a += -count; }
    friend ptrdiff_t operator-(checked_pointer a, checked_pointer b)
    {
        return ptrdiff_t(a.address - b.address) / ptrdiff_t(sizeof(T));
    }
    friend bool operator==(checked_pointer a, checked_pointer b) { return a.address == b.address; }
    friend bool operator!=(checked_pointer a, checked_pointer b) { return a.address != b.address; }
    friend bool operator<(checked_pointer a, checked_pointer b) { return a.address < b.address; }
    friend bool operator<=(checked_pointer a, checked_pointer b) { return a.address <= b.address; }
    friend bool operator>(checked_pointer a, checked_pointer b) { return a.address > b.address; }
    friend bool operator>=(checked_pointer a, checked_pointer b) { return a.address >= b.address; }

private:
    template <class> friend class checked_pointer;

    template <class U> checked_pointer<U> convert() const
    {
        checked_pointer<U> result;
        result.address = address;
        result.begin = begin;
        result.end = end;
        result.violation = violation;
        return result;
    }

    uintptr_t address, begin, end;
    const char *violation;
};

inline bool contains(const void *contents, size_t length, uintptr_t address)
{
    return address - uintptr_t(contents) < length;
}

// A pointer in memory. When it is read it becomes a checked one, bounded by what contains it: a resource that was
// handed to useResource, or a bound buffer. One that lies in none can be copied and compared all the same.
template <class T, class Tag> class member_pointer {
public:
    member_pointer() = default;
    member_pointer(decltype(nullptr)) : address(0) {}
    template <class U, typename only_if<is_qualified<U, T>>::type = 0>
    member_pointer(checked_pointer<U> pointer) : address(pointer.value())
    {
    }
    template <class U, class Other, typename only_if<is_qualified<U, T>>::type = 0>
    member_pointer(member_pointer<U, Other> pointer) : address(pointer.value())
    {
    }

    template <class U, typename only_if<is_qualified<T, U>>::type = 0> operator checked_pointer<U>() const
    {
        return read();
    }
    template <class U, typename only_if<!is_qualified<T, U>>::type = 0> explicit operator checked_pointer<U>() const
    {
        return checked_pointer<U>(read());
    }
    explicit operator bool() const { return address != 0; }
    uintptr_t value() const { return address; }

    T &operator*() const { return *read(); }
    T *operator->() const { return &*read(); }
    T &operator[](ptrdiff_t index) const { return read()[index]; }
    checked_pointer<T> operator+(ptrdiff_t count) const { return read() + count; }
    checked_pointer<T> operator-(ptrdiff_t count) const { return read() - count; }
    friend checked_pointer<T> operator+(ptrdiff_t count, member_pointer a) { return a.read() + count; }
    member_pointer &operator+=(ptrdiff_t count)
    {
        address += count * sizeof(T);
        return *this;
    }
    member_pointer &operator-=(ptrdiff_t count) { return *this += -count; }

private:
    checked_pointer<T> read() const
    {
        const char *violation = address ? Tag::nowhere : Tag::null;
        for (auto resource = current_dispatch->resources; resource; resource = resource->next) {
            if (contains(resource->contents, resource->length, address)) {
                if (is_const<T> || (resource->access & MSL_ACCESS_WRITE))
                    return checked_pointer<T>(address, resource->contents, resource->length, Tag::outside);
                violation = Tag::read_only;
            }
        }
        for (const msl_buffer &buffer : current_dispatch->buffers) {
            if (contains(buffer.contents, buffer.length, address))
                return checked_pointer<T>(address, buffer.contents, buffer.length, Tag::outside);
        }
        return checked_pointer<T>(address, nullptr, 0, violation);
    }

    uint64_t address;
};

inline uintptr_t value_of(decltype(nullptr))
{
    return 0;
}
template <class T> uintptr_t value_of(checked_pointer<T> pointer)
{
    return pointer.value();
}
template <class T, class Tag> uintptr_t value_of(member_pointer<T, Tag> pointer)
{
    return pointer.value();
}

#define MSL_COMPARISON(op)                                                                                        \
    template <class T, class Tag, class Other> bool operator op(member_pointer<T, Tag> a, Other b)                \
    {                                                                                                             \
        return value_of(a) op value_of(b);                                                                        \
    }                                                                                                             \
    template <class T, class Tag, class U> bool operator op(checked_pointer<U> a, member_pointer<T, Tag> b)       \
    {                                                                                                             \
        return value_of(a) op value_of(b);                                                                        \
    }                                                                                                             \
    template <class T, class Tag> bool operator op(decltype(nullptr), member_pointer<T, Tag> b)                   \
    {                                                                                                             \
        return uintptr_t(0) op value_of(b);                                                                       \
    }
MSL_COMPARISON(==)
MSL_COMPARISON(!=)
MSL_COMPARISON(<)
MSL_COMPARISON(<=)
MSL_COMPARISON(>)
MSL_COMPARISON(>=)
#undef MSL_COMPARISON

// An array in threadgroup memory, itself or an element of one.
template <class T, size_t N> class checked_array;
template <class T> T &share(T &variable, const char *)
{
    return variable;
}
template <class T, size_t N> checked_array<T, N> share(T (&array)[N], const char *violation)
{
    return checked_array<T, N>(array, violation);
}

template <class T, size_t N> class checked_array {
public:
    checked_array(T *elements, const char *violation) : elements(elements), violation(violation) {}
    template <class U, typename only_if<is_qualified<T, U>>::type = 0> operator checked_pointer<U>() const
    {
        return checked_pointer<U>(uintptr_t(elements), elements, N * sizeof(T), violation);
    }
    T &operator*() const { return *elements; }
    checked_pointer<T> operator+(ptrdiff_t count) const { return checked_pointer<T>(*this) + count; }
    decltype(auto) operator[](ptrdiff_t index) const
    {
        const bool inside = size_t(index) < N;
        if (!inside)
            report(violation);
        return share(inside ? elements[index] : nothing<T>::zeroed(), violation);
    }

private:
    T *elements;
    const char *violation;
};

} // namespace
} // namespace msl

// The messages of a member, for the template argument Tag: that is a type, for a string cannot be one.
#define MSL_MEMBER(tag, name)                                                                                     \
    struct tag {                                                                                                  \
        static constexpr const char *null = "access through '" name "', which is a null pointer";                 \
        static constexpr const char *nowhere = "'" name "' points into no resource that is bound or used";        \
        static constexpr const char *read_only = "'" name "' can write a resource that is used for reading only"; \
        static constexpr const char *outside = "access outside the resource that '" name "' points into";         \
    };
// Declares a threadgroup variable, which is a member of the type that comes last.
#define MSL_SHARED(name, ...)                                                                                     \
    auto &&name = msl::share(static_cast<__VA_ARGS__ *>(msl_memory_)->name, "access outside the variable '" #name "'")
template <class T> using msl_device = msl::checked_pointer<T>;
template <class T> using msl_threadgroup = msl::checked_pointer<T>;
template <class T, class Tag> using msl_member = msl::member_pointer<T, Tag>;
#endif
#endif
