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

/* Runs one dispatch of `kernel` over a buffer that starts as 0, 1, 2 and so on, and gives the buffer. */
static id<MTLBuffer> run_kernel(id<MTLCommandQueue> queue, const char *kernel, uint32_t steps, NSUInteger groups)
{
    id<MTLBuffer> values = make_buffer(VALUES * sizeof(uint32_t));
    for (uint32_t i = 0; i < VALUES; ++i) {
        ((uint32_t *)[values contents])[i] = i;
    }
    id<MTLComputePipelineState> pipeline = make_pipeline(kernel);
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:values offset:0 atIndex:0];
    [encoder setBytes:&steps length:sizeof steps atIndex:1];
    dispatch_groups(encoder, groups);
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    [pipeline release];
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
