// What the device passes to a kernel, seen from C++: buffers, and the position of the thread.
#ifndef MSL_ARGUMENT_H
#define MSL_ARGUMENT_H

namespace msl {
namespace {

// One binding of one dispatch, and the message that an access outside it leaves there.
struct argument {
    const struct msl_dispatch *dispatch;
    const char *violation;

    // The device hands the dispatch out read-only, this one member excepted.
    void report() const
    {
        const char *none = nullptr;
        const char **place = const_cast<const char **>(&dispatch->violation);
        __atomic_compare_exchange_n(place, &none, violation, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    }
};

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

// A pointer that knows what it may point at. One made from a plain pointer (the address of a member of an argument, a
// table of the kernel source) has no bounds.
template <class T> class checked_pointer {
public:
    checked_pointer() = default;
    checked_pointer(T *target) : address(uintptr_t(target)), begin(0), end(UINTPTR_MAX), owner(nullptr) {}
    checked_pointer(void *contents, size_t length, const argument *owner)
        : address(uintptr_t(contents)), begin(address), end(address + length), owner(owner)
    {
    }
    operator checked_pointer<const T>() const { return convert<const T>(); }
    template <class U> explicit operator checked_pointer<U>() const { return convert<U>(); }
    explicit operator bool() const { return address != 0; }

    T &operator*() const
    {
        if (address < begin || address > end || end - address < sizeof(T)) {
            if (owner)
                owner->report();
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
        result.owner = owner;
        return result;
    }

    uintptr_t address, begin, end;
    const argument *owner;
};

} // namespace
} // namespace msl

// What `device T *` and `constant T *` of a kernel source are.
#if MSL_CHECKED
template <class T> using msl_device = msl::checked_pointer<T>;
#else
template <class T> using msl_device = T *;
#endif

namespace msl {
namespace {

struct buffer_argument : argument {
    void *contents;
    size_t length;

    MSL_INLINE buffer_argument(const struct msl_dispatch &dispatch, int index, const char *violation)
        : argument{&dispatch, violation}, contents(dispatch.buffers[index].contents),
          length(dispatch.buffers[index].length)
    {
    }

    template <class T> MSL_INLINE msl_device<T> pointer() const
    {
#if MSL_CHECKED
        return msl_device<T>(contents, length, this);
#else
        return static_cast<T *>(contents);
#endif
    }

    // The device has compared the length with the size of T. An argument that does not exist reads as zeros.
    template <class T> MSL_INLINE T &reference() const
    {
        return contents ? *static_cast<T *>(contents) : nothing<T>::zeroed();
    }
};

// The thread that a kernel runs for; run_threadgroup moves x, y and z. The functions are named as Metal's attributes.
struct thread {
    uint32_t x, y, z;
    uint32_t size[3];
    uint32_t threadgroups[3];
    uint32_t threadgroup[3];

    MSL_INLINE thread(const struct msl_dispatch &dispatch, const uint32_t *place) : x(0), y(0), z(0)
    {
        for (int axis = 0; axis < 3; ++axis) {
            size[axis] = dispatch.threads_per_threadgroup[axis];
            threadgroups[axis] = dispatch.threadgroups[axis];
            threadgroup[axis] = place[axis];
        }
    }

    MSL_INLINE metal::uint3 thread_position_in_threadgroup() const { return metal::uint3(x, y, z); }
    MSL_INLINE metal::uint3 threadgroup_position_in_grid() const { return vector(threadgroup); }
    MSL_INLINE metal::uint3 threads_per_threadgroup() const { return vector(size); }
    MSL_INLINE metal::uint3 threadgroups_per_grid() const { return vector(threadgroups); }
    MSL_INLINE metal::uint3 threads_per_grid() const { return vector(threadgroups) * vector(size); }
    MSL_INLINE metal::uint3 thread_position_in_grid() const
    {
        return vector(threadgroup) * vector(size) + metal::uint3(x, y, z);
    }
    MSL_INLINE metal::uint3 thread_index_in_threadgroup() const
    {
        return metal::uint3((z * size[1] + y) * size[0] + x, 0, 0);
    }

private:
    static MSL_INLINE metal::uint3 vector(const uint32_t *values)
    {
        return metal::uint3(values[0], values[1], values[2]);
    }
};

// The first components of a position, as the type that the kernel asks for.
template <class T> struct truncated {
    static MSL_INLINE T from(metal::uint3 position) { return T(position.x); }
};
template <class T> struct truncated<metal::vec<T, 2>> {
    static MSL_INLINE metal::vec<T, 2> from(metal::uint3 position)
    {
        return metal::vec<T, 2>(position.x, position.y);
    }
};
template <class T> struct truncated<metal::vec<T, 3>> {
    static MSL_INLINE metal::vec<T, 3> from(metal::uint3 position) { return metal::vec<T, 3>(position); }
};
template <class T> MSL_INLINE T truncate(metal::uint3 position) { return truncated<T>::from(position); }

} // namespace
} // namespace msl
#endif
