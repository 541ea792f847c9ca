/* The lines that only one of the two Metals has. */
#ifndef MCY_PLATFORM_H
#define MCY_PLATFORM_H
#import <Metal/Metal.h>
#include "mpsrnn.h"

#if defined(__APPLE__)
#include <unistd.h>

/* What a compiler puts into `isa` of a block on the stack. */
extern void *_NSConcreteStackBlock[];
#define MCY_STACK_BLOCK_ISA ((void *)_NSConcreteStackBlock)

static inline uint32_t mcy_thread_count(id<MTLDevice> device)
{
    (void)device;
    return 0;
}

static inline bool mcy_set_thread_count(id<MTLDevice> device, uint32_t count)
{
    (void)device;
    (void)count;
    return false;
}

/* Whether a dispatch keeps the whole device busy, however few its threadgroups. */
static inline bool mcy_spreads_threadgroups(id<MTLComputePipelineState> pipeline)
{
    (void)pipeline;
    return false;
}

/* Whether a dispatch may have one texture bound for reading and for writing, if each thread reads the pixel that it is
 * going to write and no other. Metal's documents promise it for textures of access::read_write only. */
static inline bool mcy_changes_textures_in_place(void)
{
    return false;
}

/* What newBufferWithBytesNoCopy takes: addresses and lengths that are multiples of these. */
static inline size_t mcy_no_copy_alignment(void)
{
    return (size_t)getpagesize();
}

static inline size_t mcy_no_copy_length_unit(void)
{
    return (size_t)getpagesize();
}

/* Commits what the caller is going to wait for at once. */
static inline void mcy_commit_before_waiting(id<MTLCommandBuffer> commandBuffer)
{
    [commandBuffer commit];
}

/* Apple's own API validation stops the process instead. */
static inline const char *mcy_take_violation(void)
{
    return NULL;
}

#else
#import <Metal/PortableMetal.h>

#define MCY_STACK_BLOCK_ISA NULL

static inline uint32_t mcy_thread_count(id<MTLDevice> device)
{
    return (uint32_t)PortableMetalThreadCount(device);
}

static inline bool mcy_set_thread_count(id<MTLDevice> device, uint32_t count)
{
    return PortableMetalSetThreadCount(device, count);
}

static inline void mcy_commit_before_waiting(id<MTLCommandBuffer> commandBuffer)
{
    PortableMetalCommitBeforeWaiting(commandBuffer);
}

static inline bool mcy_spreads_threadgroups(id<MTLComputePipelineState> pipeline)
{
    return PortableMetalHasTwin(pipeline);
}

static inline bool mcy_changes_textures_in_place(void)
{
    return true;
}

static inline const char *mcy_take_violation(void)
{
    return PortableMetalTakeViolation();
}

static inline size_t mcy_no_copy_alignment(void)
{
    return 16;
}

static inline size_t mcy_no_copy_length_unit(void)
{
    return 1;
}

#endif
#endif
