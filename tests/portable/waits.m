/* Command buffers that whoever waits for them runs. */
#define _GNU_SOURCE
#import "cases.h"
#include <pthread.h>
#include <string.h>
#include <unistd.h>

/* A command buffer of one dispatch over `output`. */
static id<MTLCommandBuffer> encode(id<MTLCommandQueue> queue, const char *kernel, id<MTLBuffer> output)
{
    id<MTLComputePipelineState> pipeline = make_pipeline(kernel);
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:output offset:0 atIndex:0];
    const uint32_t value = 40;
    [encoder setBytes:&value length:sizeof value atIndex:1];
    dispatch_groups(encoder, 1);
    [encoder endEncoding];
    [pipeline release];
    return commandBuffer;
}

CASE(who_commits_before_waiting_runs_the_commands)
{
    PortableMetalSetThreadCount(the_device(), 1);
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(4);
    limit_threads(0);                   /* so no thread is needed either */
    id<MTLCommandBuffer> commandBuffer = encode(queue, "note_thread", output);
    PortableMetalCommitBeforeWaiting(commandBuffer);
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusCommitted);
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusCompleted);
    CHECK(!commandBuffer.error && commandBuffer.GPUEndTime >= commandBuffer.GPUStartTime);
    CHECK_EQUAL(*(uint32_t *)[output contents], gettid());
    [commandBuffer waitUntilCompleted];
    PortableMetalCommitBeforeWaiting(commandBuffer);
    CHECK_VIOLATION("commit: the command buffer is already committed");
    [queue release];
    [output release];
}

CASE(what_was_committed_before_runs_before)
{
    enum { ROUNDS = 50 };
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (int round = 0; round < ROUNDS; ++round) {
        NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
        id<MTLBuffer> list = [make_buffer(64) autorelease];
        for (int i = 0; i < 5; ++i) {
            [encode(queue, "append", list) commit];
        }
        id<MTLCommandBuffer> last = encode(queue, "append", list);
        PortableMetalCommitBeforeWaiting(last);
        [last waitUntilCompleted];
        CHECK_EQUAL(*(uint32_t *)[list contents], 6);
        [pool drain];
    }
    [queue release];
}

CASE(kernels_with_barriers_keep_off_borrowed_threads)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> sums = make_buffer(4);
    id<MTLComputePipelineState> pipeline = make_pipeline("add_up");
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:sums offset:0 atIndex:0];
    const uint32_t limit = 40;
    [encoder setBytes:&limit length:sizeof limit atIndex:1];
    [encoder setThreadgroupMemoryLength:160 atIndex:5];
    [encoder dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(40, 1, 1)];
    [encoder endEncoding];
    limit_threads(0);                   /* so this fails, since they need a thread of ours */
    PortableMetalCommitBeforeWaiting(commandBuffer);
    [commandBuffer waitUntilCompleted];
    CHECK_TEXT(error_text(commandBuffer.error), "could not start the queue's thread");
    limit_threads(-1);
    [pipeline release];
    [sums release];
    [queue release];
}

/* ---- Handlers ---- */

struct handler {
    struct PortableMetalBlock block;
    pthread_t caller;
    id<MTLCommandBuffer> other;
    const char *violation;
    int *calls;
};

/* Runs `other`; of the same queue that would take for ever, and it is told so. */
static void run_other(struct PortableMetalBlock *block, id<MTLCommandBuffer> commandBuffer)
{
    const struct handler *handler = (const struct handler *)block;
    CHECK(!pthread_equal(handler->caller, pthread_self()));
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusCompleted);
    PortableMetalCommitBeforeWaiting(handler->other);
    [handler->other waitUntilCompleted];
    CHECK_VIOLATION(handler->violation);
    ++*handler->calls;
}

static const struct PortableMetalBlockDescriptor plain = {0, sizeof(struct handler), NULL, NULL};

static void add_handler(id<MTLCommandBuffer> commandBuffer, id<MTLCommandBuffer> other, const char *violation,
                        int *calls)
{
    struct handler handler = {{NULL, 0, 0, run_other, &plain}, pthread_self(), other, violation, calls};
    [commandBuffer addCompletedHandler:&handler.block];
}

CASE(handlers_run_on_the_queues_thread_whoever_waits)
{
    id<MTLCommandQueue> first = [the_device() newCommandQueue], second = [the_device() newCommandQueue];
    id<MTLBuffer> list = make_buffer(64);
    int calls = 0;
    id<MTLCommandBuffer> commandBuffer = encode(first, "append", list), other = encode(second, "append", list);
    id<MTLCommandBuffer> blocked = encode(first, "append", list);
    add_handler(commandBuffer, other, NULL, &calls);
    add_handler(commandBuffer, blocked, "waits for a command buffer of its own queue", &calls);
    PortableMetalCommitBeforeWaiting(commandBuffer);
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(calls, 2);
    [blocked waitUntilCompleted];
    CHECK(!blocked.error);
    CHECK_EQUAL(*(uint32_t *)[list contents], 3);
    [first release];
    [second release];
    [list release];
}

static void *wait_for(void *commandBuffer)
{
    [(id<MTLCommandBuffer>)commandBuffer waitUntilCompleted];
    return NULL;
}

CASE(several_threads_wait_for_one_command_buffer)
{
    enum { WAITERS = 4, ROUNDS = 50 };
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (int round = 0; round < ROUNDS; ++round) {
        NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
        id<MTLBuffer> list = [make_buffer(64) autorelease];
        id<MTLCommandBuffer> commandBuffer = encode(queue, "append", list);
        pthread_t waiters[WAITERS];
        PortableMetalCommitBeforeWaiting(commandBuffer);
        for (int i = 0; i < WAITERS; ++i) {
            pthread_create(&waiters[i], NULL, wait_for, commandBuffer);
        }
        [commandBuffer waitUntilCompleted];
        CHECK_EQUAL(*(uint32_t *)[list contents], 1);
        for (int i = 0; i < WAITERS; ++i) {
            pthread_join(waiters[i], NULL);
        }
        [pool drain];
    }
    [queue release];
}
