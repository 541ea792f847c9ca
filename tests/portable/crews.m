/* Dispatches that twins run, by items and by crews. */
#import "cases.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "twins.h"

enum { VALUES = 64 };

static void expect_relaxed(const uint32_t *values, uint32_t steps)
{
    uint32_t expected[2][VALUES];
    for (uint32_t i = 0; i < VALUES; ++i) {
        expected[0][i] = i;
    }
    for (uint32_t step = 0; step < steps; ++step) {
        for (uint32_t i = 0; i < VALUES; ++i) {
            expected[~step & 1][i] = expected[step & 1][i] + expected[step & 1][(i + 1) % VALUES];
        }
    }
    CHECK(memcmp(values, expected[steps & 1], sizeof expected[0]) == 0);
}

/* 0, 1, 2 and so on. */
static id<MTLBuffer> make_values(void)
{
    id<MTLBuffer> values = make_buffer(VALUES * sizeof(uint32_t));
    for (uint32_t i = 0; i < VALUES; ++i) {
        ((uint32_t *)[values contents])[i] = i;
    }
    return values;
}

static void encode_kernel(id<MTLComputeCommandEncoder> encoder, const char *kernel, id<MTLBuffer> values, uint32_t steps,
                          NSUInteger groups)
{
    id<MTLComputePipelineState> pipeline = make_pipeline(kernel);
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:values offset:0 atIndex:0];
    [encoder setBytes:&steps length:sizeof steps atIndex:1];
    dispatch_groups(encoder, groups);
    [pipeline release];
}

/* Runs one dispatch of `kernel` over such values, and gives the buffer. */
static id<MTLBuffer> run_kernel(id<MTLCommandQueue> queue, const char *kernel, uint32_t steps, NSUInteger groups)
{
    id<MTLBuffer> values = make_values();
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    encode_kernel(encoder, kernel, values, steps, groups);
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    return [values autorelease];
}

CASE(twins_of_items_run_each_item_once)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (NSUInteger threads = 1; threads <= 4; ++threads) {
        PortableMetalSetThreadCount(the_device(), threads);
        const size_t before = twin_run_count();
        const uint32_t *values = [run_kernel(queue, "square", 0, VALUES) contents];
        CHECK_EQUAL(twin_run_count() - before, VALUES);
        for (uint32_t i = 0; i < VALUES; ++i) {
            CHECK_EQUAL(values[i], i * i);
        }
    }
    setenv("MPSRNN_KERNELS", "msl", 1);
    const size_t before = twin_run_count();
    CHECK_EQUAL(((const uint32_t *)[run_kernel(queue, "square", 0, VALUES) contents])[3], 9);
    CHECK_EQUAL(twin_run_count(), before);
    [queue release];
}

CASE(crews_compute_the_same_with_any_number_of_members)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (NSUInteger threads = 1; threads <= 7; ++threads) {
        PortableMetalSetThreadCount(the_device(), threads);
        for (uint32_t steps = 0; steps < 12; ++steps) {
            const size_t before = twin_run_count();
            expect_relaxed([run_kernel(queue, "relax", steps, 1) contents], steps);
            CHECK_EQUAL(twin_run_count() - before, 1);
        }
    }
    /* Too many for the twin: its kernel takes over. */
    const size_t before = twin_run_count();
    expect_relaxed([run_kernel(queue, "relax", 1001, 1) contents], 1001);
    CHECK_EQUAL(twin_run_count(), before);
    [queue release];
}

static void *run_crews(void *argument)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (uint32_t steps = 0; steps < 200; ++steps) {
        NSAutoreleasePool *inner = [[NSAutoreleasePool alloc] init];
        expect_relaxed([run_kernel(queue, "relax", steps, 1) contents], steps);
        [inner drain];
    }
    [queue release];
    [pool drain];
    return argument;
}

CASE(crews_of_several_queues_share_the_threads)
{
    enum { CLIENTS = 4 };
    pthread_t clients[CLIENTS];
    PortableMetalSetThreadCount(the_device(), 3);
    for (int i = 0; i < CLIENTS; ++i) {
        pthread_create(&clients[i], NULL, run_crews, NULL);
    }
    for (NSUInteger i = 0; i < 200; ++i) {
        PortableMetalSetThreadCount(the_device(), 1 + i % 5);
        usleep(100);
    }
    for (int i = 0; i < CLIENTS; ++i) {
        pthread_join(clients[i], NULL);
    }
}

/* ---- Dispatches abreast: those of concurrent encoders, between barriers ---- */

/* Runs a dispatch of `relax` over each of the buffers. */
static id<MTLCommandBuffer> run_abreast(id<MTLCommandQueue> queue, id<MTLBuffer> const *values, const uint32_t *steps,
                                        int count)
{
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder =
        [commandBuffer computeCommandEncoderWithDispatchType:MTLDispatchTypeConcurrent];
    for (int i = 0; i < count; ++i) {
        encode_kernel(encoder, "relax", values[i], steps[i], 1);
    }
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    return commandBuffer;
}

CASE(dispatches_abreast_compute_the_same_with_any_number_of_threads)
{
    enum { COUNT = 11 };
    /* The fifth is too much for the twin: its kernel takes over. */
    static const uint32_t steps[COUNT] = {5, 0, 17, 3, 1001, 40, 40, 1, 2, 300, 7};
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (NSUInteger threads = 1; threads <= 5; ++threads) {
        PortableMetalSetThreadCount(the_device(), threads);
        id<MTLBuffer> values[COUNT];
        for (int i = 0; i < COUNT; ++i) {
            values[i] = make_values();
        }
        const size_t before = twin_run_count();
        CHECK(!run_abreast(queue, values, steps, COUNT).error);
        CHECK_EQUAL(twin_run_count() - before, COUNT - 1);
        for (int i = 0; i < COUNT; ++i) {
            expect_relaxed([values[i] contents], steps[i]);
            [values[i] release];
        }
    }
    [queue release];
}

/* Not every time: a thread that does not come promptly is not waited for. */
CASE(dispatches_abreast_have_a_thread_each)
{
    enum { ATTEMPTS = 1000 };
    static const uint32_t steps[] = {900, 1000};
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    PortableMetalSetThreadCount(the_device(), 2);
    for (int i = 0; i < ATTEMPTS && most_runs_at_once() < 2; ++i) {
        NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
        id<MTLBuffer> values[] = {[make_values() autorelease], [make_values() autorelease]};
        CHECK(!run_abreast(queue, values, steps, 2).error);
        [pool drain];
    }
    CHECK_EQUAL(most_runs_at_once(), 2);
    [queue release];
}

/* What comes after a barrier, or in another encoder, sees what was written. */
CASE(dispatches_follow_those_before_a_barrier)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    PortableMetalSetThreadCount(the_device(), 4);
    id<MTLBuffer> values = make_values();
    uint32_t all = 0;
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    for (uint32_t turn = 0; turn < 4; ++turn) {
        const MTLDispatchType type = turn == 2 ? MTLDispatchTypeSerial : MTLDispatchTypeConcurrent;
        id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoderWithDispatchType:type];
        for (uint32_t steps = 1 + turn; steps < 4 + turn; ++steps) {
            encode_kernel(encoder, "relax", values, steps, 1);
            all += steps;
            if (type == MTLDispatchTypeConcurrent) {
                [encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
            }
        }
        [encoder endEncoding];
    }
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    expect_relaxed([values contents], all);
    [values release];
    [queue release];
}

CASE(refused_threads_for_dispatches_abreast_are_an_error)
{
    static const uint32_t steps[] = {20, 30};
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> values[] = {make_values(), make_values()};
    PortableMetalSetThreadCount(the_device(), 2);
    limit_threads(1);                   /* the queue's own */
    CHECK_TEXT(error_text(run_abreast(queue, values, steps, 2).error),
               "kernel 'relax': could not start the device's threads");
    limit_threads(-1);
    for (int i = 0; i < 2; ++i) {
        expect_relaxed([values[i] contents], 0);
    }
    CHECK(!run_abreast(queue, values, steps, 2).error);
    for (int i = 0; i < 2; ++i) {
        expect_relaxed([values[i] contents], steps[i]);
        [values[i] release];
    }
    [queue release];
}
