/* What the portable Metal adds to Apple's API.
 *
 * Environment: MPSRNN_NUM_THREADS (threads of a device, read when it is made), MPSRNN_ISA (instruction set of the
 * kernels: baseline or x86-64-v3) and MPSRNN_VALIDATION (1: kernels check every access); the last two are read each
 * time a function is made. */
#ifndef PORTABLE_METAL_PORTABLEMETAL_H
#define PORTABLE_METAL_PORTABLEMETAL_H
#import <Metal/Metal.h>

#define PORTABLE_METAL_MAX_THREADS 256

/* How many threads a dispatch is spread over, the queue's own included. Settable at any time, from any thread; a
 * dispatch that runs keeps the number it began with. NO, and a violation, if count is not 1 to
 * PORTABLE_METAL_MAX_THREADS. */
extern NSUInteger PortableMetalThreadCount(id<MTLDevice> device);
extern BOOL PortableMetalSetThreadCount(id<MTLDevice> device, NSUInteger count);

/* `commit` by a caller that calls waitUntilCompleted next: there it runs the commands itself if none are before them,
 * and no thread is woken up. Without the wait they may remain where they are. */
extern void PortableMetalCommitBeforeWaiting(id<MTLCommandBuffer> commandBuffer);

/* Whether the dispatches of a pipeline are run by a tuned twin of its kernel, which shares a dispatch of any size out
 * over the device's threads, whatever its threadgroups. */
extern BOOL PortableMetalHasTwin(id<MTLComputePipelineState> pipeline);

/* Returns and clears this thread's last misuse of the API that no NSError and no command buffer could report, or NULL.
 * The text is valid until the next misuse on the same thread. */
extern const char *PortableMetalTakeViolation(void);

/* Objects allocated and not yet deallocated, of every class, in the whole process. */
extern NSUInteger PortableMetalLiveObjects(void);

/* The public block ABI, so that a compiler without blocks can hand over a completion handler: fill a
 * PortableMetalBlock that is the head of a larger struct, on the stack. It is copied, all `size` bytes of it. */
enum {
    PortableMetalBlockHasCopyDispose = 1 << 25,
    PortableMetalBlockIsGlobal = 1 << 28,
    PortableMetalBlockHasSignature = 1 << 30
};

struct PortableMetalBlockDescriptor {
    unsigned long reserved;
    unsigned long size;
    /* Present in memory only with PortableMetalBlockHasCopyDispose. */
    void (*copy)(void *destination, const void *source);
    void (*dispose)(const void *block);
};

typedef void (*PortableMetalDeallocator)(struct PortableMetalBlock *block, void *pointer, NSUInteger length);

struct PortableMetalBlock {
    void *isa;
    int flags;
    int reserved;
    /* Of a deallocator it is a PortableMetalDeallocator. */
    void (*invoke)(struct PortableMetalBlock *block, id<MTLCommandBuffer> commandBuffer);
    const struct PortableMetalBlockDescriptor *descriptor;
};
#endif
