// What the device passes to a kernel, seen from C++: buffers, and the position of the thread.
#ifndef MSL_ARGUMENT_H
#define MSL_ARGUMENT_H
#include "msl_pointer.h"

namespace msl {
namespace {

// One binding of one dispatch, and the message that an access outside it leaves there.
struct argument {
    const char *violation;

    MSL_INLINE argument(const struct msl_dispatch &dispatch, const char *violation) : violation(violation)
    {
#if MSL_CHECKED
        current_dispatch = &dispatch;
#else
        (void)dispatch;
#endif
    }
};

struct buffer_argument : argument {
    void *contents;
    size_t length;

    MSL_INLINE buffer_argument(const struct msl_dispatch &dispatch, int index, const char *violation)
        : argument(dispatch, violation), contents(dispatch.buffers[index].contents),
          length(dispatch.buffers[index].length)
    {
    }

    template <class T> MSL_INLINE msl_device<T> pointer() const
    {
#if MSL_CHECKED
        return msl_device<T>(uintptr_t(contents), contents, length, violation);
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

// Memory of a threadgroup that the host asked for. It lies behind the kernel's own variables, of `size` bytes, and the
// arguments of lower index.
struct threadgroup_argument : argument {
    char *contents;
    size_t length;

    MSL_INLINE threadgroup_argument(const struct msl_dispatch &dispatch, int index, void *memory, size_t size,
                                    const char *violation)
        : argument(dispatch, violation), contents(static_cast<char *>(memory) + size),
          length(dispatch.threadgroup_lengths[index])
    {
        for (int i = 0; i < index; ++i)
            contents += dispatch.threadgroup_lengths[i];
    }

    template <class T> MSL_INLINE msl_threadgroup<T> pointer() const
    {
#if MSL_CHECKED
        return msl_threadgroup<T>(uintptr_t(contents), contents, length, violation);
#else
        return reinterpret_cast<T *>(contents);
#endif
    }
};

template <class Variables> struct memory_of {
    static_assert(sizeof(Variables) <= MSL_THREADGROUP_MEMORY, "the kernel has too many threadgroup variables");
    enum : uint32_t { unit = MSL_THREADGROUP_ALIGNMENT, size = (sizeof(Variables) + unit - 1) / unit * unit };
};
template <class Variables> constexpr uint32_t memory_size = memory_of<Variables>::size;

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

    MSL_INLINE void place(uint32_t index)
    {
        x = index % size[0];
        y = index / size[0] % size[1];
        z = index / size[0] / size[1];
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
