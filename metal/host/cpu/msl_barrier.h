// Threads of a threadgroup that wait for each other.
#ifndef MSL_BARRIER_H
#define MSL_BARRIER_H

namespace metal {
namespace {

enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2, mem_texture = 4 };

constexpr mem_flags operator|(mem_flags a, mem_flags b)
{
    return mem_flags(int(a) | int(b));
}

// The threads of a threadgroup run on one processor, one after another, so that each sees what others wrote.
MSL_INLINE void threadgroup_barrier(mem_flags)
{
    msl_threadgroup_barrier();
}

} // namespace
} // namespace metal
#endif
