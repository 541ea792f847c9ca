/* Threads, processes, and what happens when the system refuses something. */
#define _GNU_SOURCE
#import "cases.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

/* Encodes and commits one dispatch over `output`. */
static id<MTLCommandBuffer> commit_kernel(id<MTLCommandQueue> queue, const char *kernel, id<MTLBuffer> output,
                                          MTLSize groups)
{
    id<MTLComputePipelineState> pipeline = make_pipeline(kernel);
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:output offset:0 atIndex:0];
    [encoder dispatchThreadgroups:groups threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
    [encoder endEncoding];
    [commandBuffer commit];
    [pipeline release];
    return commandBuffer;
}

/* Has note_threadgroup visited each of `count` threadgroups exactly once? */
static bool visited_once(id<MTLBuffer> output, uint32_t count)
{
    const uint32_t *visits = [output contents];
    uint32_t i = 0;
    while (i < count && visits[i] == i + 1) {
        ++i;
    }
    return i == count;
}

CASE(every_threadgroup_runs_once_on_any_number_of_threads)
{
    static const NSUInteger thread_counts[] = {1, 2, 3, 7, 64};
    static const MTLSize grids[] = {{1, 1, 1}, {2, 1, 1}, {1, 3, 5}, {7, 11, 13}, {40000, 1, 1}};
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    for (int t = 0; t < 5; ++t) {
        CHECK(PortableMetalSetThreadCount(the_device(), thread_counts[t]));
        for (int g = 0; g < 5; ++g) {
            const NSUInteger count = grids[g].width * grids[g].height * grids[g].depth;
            id<MTLBuffer> output = make_buffer(count * sizeof(uint32_t));
            id<MTLCommandBuffer> commandBuffer = commit_kernel(queue, "note_threadgroup", output, grids[g]);
            [commandBuffer waitUntilCompleted];
            CHECK(!commandBuffer.error && visited_once(output, (uint32_t)count));
            [output release];
        }
    }
    [queue release];
}

static int count_distinct(const uint32_t *values, int count)
{
    int distinct = 0;
    for (int i = 0; i < count; ++i) {
        int j = 0;
        while (values[j] != values[i]) {
            ++j;
        }
        distinct += i == j;
    }
    return distinct;
}

CASE(dispatch_uses_the_threads_it_was_given)
{
    enum { GROUPS = 64 };
    static const NSUInteger thread_counts[] = {4, 1, 2};
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(GROUPS * sizeof(uint32_t));
    for (int t = 0; t < 3; ++t) {
        PortableMetalSetThreadCount(the_device(), thread_counts[t]);
        [commit_kernel(queue, "note_thread", output, MTLSizeMake(GROUPS, 1, 1)) waitUntilCompleted];
        CHECK_EQUAL(count_distinct([output contents], GROUPS), thread_counts[t]);
    }
    [queue release];
    [output release];
}

CASE(threads_compute_in_the_default_mode)
{
    enum { GROUPS = 16 };
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040);      /* flush subnormal numbers to zero, here and in threads made from here */
#endif
    PortableMetalSetThreadCount(the_device(), 4);
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(GROUPS * sizeof(uint32_t));
    [commit_kernel(queue, "note_mode", output, MTLSizeMake(GROUPS, 1, 1)) waitUntilCompleted];
    for (int i = 0; i < GROUPS; ++i) {
        CHECK_EQUAL(((uint32_t *)[output contents])[i], 1);
    }
    [queue release];
    [output release];
}

static double processor_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

CASE(idle_threads_sleep)
{
    PortableMetalSetThreadCount(the_device(), 8);
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(1000 * sizeof(uint32_t));
    [commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(1000, 1, 1)) waitUntilCompleted];
    usleep(50000);
    const double before = processor_time();
    usleep(300000);
    /* Spinning threads would take 0.3 seconds each. */
    CHECK(processor_time() - before < 0.03);
    [queue release];
    [output release];
}

struct client {
    pthread_t thread;
    int rounds, right;
    id<MTLCommandQueue> queue;
};

/* Encodes on its own command buffers, on a queue that it may share. */
static void *use_queue(void *argument)
{
    enum { GROUPS = 37 };
    struct client *client = argument;
    for (int i = 0; i < client->rounds; ++i) {
        NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
        id<MTLBuffer> output = make_buffer(GROUPS * sizeof(uint32_t));
        id<MTLCommandBuffer> commandBuffer = commit_kernel(client->queue, "note_threadgroup", output,
                                                           MTLSizeMake(GROUPS, 1, 1));
        [commandBuffer waitUntilCompleted];
        client->right += !commandBuffer.error && visited_once(output, GROUPS);
        [output release];
        [pool drain];
    }
    return NULL;
}

CASE(queues_and_threads_share_a_device)
{
    enum { CLIENTS = 8, ROUNDS = 100 };
    struct client clients[CLIENTS];
    id<MTLCommandQueue> queues[2] = {[the_device() newCommandQueue], [the_device() newCommandQueue]};
    PortableMetalSetThreadCount(the_device(), 3);
    for (int i = 0; i < CLIENTS; ++i) {
        clients[i] = (struct client){.rounds = ROUNDS, .queue = queues[i % 2]};
        pthread_create(&clients[i].thread, NULL, use_queue, &clients[i]);
    }
    for (NSUInteger i = 0; i < 200; ++i) {
        PortableMetalSetThreadCount(the_device(), 1 + i % 5);
        usleep(100);
    }
    for (int i = 0; i < CLIENTS; ++i) {
        pthread_join(clients[i].thread, NULL);
        CHECK_EQUAL(clients[i].right, ROUNDS);
    }
    [queues[0] release];
    [queues[1] release];
}

CASE(refused_queue_thread_is_an_error)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(4);
    limit_threads(0);
    id<MTLCommandBuffer> commandBuffer = commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(1, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusError);
    CHECK_TEXT(error_text(commandBuffer.error), "could not start the queue's thread: Resource temporarily unavailable");
    CHECK_EQUAL([commandBuffer.error code], MTLCommandBufferErrorInternal);
    limit_threads(-1);
    commandBuffer = commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(1, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error && visited_once(output, 1));
    [queue release];
    [output release];
}

CASE(refused_team_thread_is_an_error)
{
    PortableMetalSetThreadCount(the_device(), 4);
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(40);
    limit_threads(2);
    id<MTLCommandBuffer> commandBuffer = commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(10, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK_TEXT(error_text(commandBuffer.error), "kernel 'note_threadgroup': could not start the device's threads");
    CHECK_TEXT(error_text(commandBuffer.error), "a smaller MPSRNN_NUM_THREADS needs fewer");
    CHECK_EQUAL(*(uint32_t *)[output contents], 0);
    /* Those it has are enough for less. */
    PortableMetalSetThreadCount(the_device(), 2);
    commandBuffer = commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(10, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error && visited_once(output, 10));
    /* So they are for few threadgroups, however many threads may work. */
    PortableMetalSetThreadCount(the_device(), 64);
    memset([output contents], 0, 40);
    commandBuffer = commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(2, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error && visited_once(output, 2));
    [queue release];
    [output release];
}

/* Runs in the child of a process whose threads it does not have. */
static void check_child(id<MTLDevice> device, id<MTLCommandQueue> queue, id<MTLCommandQueue> idle,
                        id<MTLCommandBuffer> running, id<MTLBuffer> output)
{
    const NSUInteger objects = PortableMetalLiveObjects();
    [idle release];
    CHECK_EQUAL(PortableMetalLiveObjects(), objects - 1);
    [running waitUntilCompleted];
    CHECK_VIOLATION("waitUntilCompleted: the command buffer runs in the process that forked this one");
    id<MTLCommandBuffer> commandBuffer = commit_kernel(queue, "note_threadgroup", output, MTLSizeMake(4, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusError);
    CHECK_TEXT(error_text(commandBuffer.error), "the device belongs to the process that forked this one");
    CHECK(the_device() != device);
    PortableMetalSetThreadCount(the_device(), 3);
    id<MTLCommandQueue> fresh = [the_device() newCommandQueue];
    memset([output contents], 0, 64);
    commandBuffer = commit_kernel(fresh, "note_threadgroup", output, MTLSizeMake(16, 1, 1));
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error && visited_once(output, 16));
    [fresh release];
    [queue release];
}

CASE(forked_child_needs_a_device_of_its_own)
{
    id<MTLDevice> device = the_device();
    PortableMetalSetThreadCount(device, 3);
    id<MTLCommandQueue> queue = [device newCommandQueue], idle = [device newCommandQueue];
    id<MTLBuffer> output = make_buffer(64), slow = make_buffer(256 * sizeof(uint32_t));
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    [commit_kernel(idle, "note_threadgroup", output, MTLSizeMake(16, 1, 1)) waitUntilCompleted];
    [pool drain];
    while ([idle retainCount] > 1) {
        usleep(1000);                   /* the queue's thread lets go of the command buffer last */
    }
    id<MTLCommandBuffer> running = commit_kernel(queue, "note_thread", slow, MTLSizeMake(256, 1, 1));
    /* In the midst of the kernel: a memory checker's allocator is not made for a fork() while other threads use it. */
    while (__atomic_load_n((const uint32_t *)[slow contents] + 40, __ATOMIC_RELAXED) == 0) {
        usleep(1000);
    }
    const pid_t child = fork();
    if (child == 0) {
        alarm(20);
        check_child(device, queue, idle, running, output);
        CHECK_VIOLATION(NULL);
        _exit(check_failures());
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQUAL(status, 0);
    [running waitUntilCompleted];
    CHECK(!running.error);
    CHECK(the_device() == device);
    [queue release];
    [idle release];
    [output release];
    [slow release];
}

static void do_nothing(struct PortableMetalBlock *block, void *pointer, NSUInteger length)
{
    (void)block;
    (void)pointer;
    (void)length;
}

/* Everything that a client does, with every result in doubt, since the `failing`th allocation fails. Returns whether
 * there were that many. */
static bool use_everything(int failing)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    fail_allocation(failing);
    id<MTLDevice> device = the_device();
    id<MTLLibrary> library = make_library(MAIN_SOURCE);
    NSError *error = nil;
    MTLFunctionConstantValues *values = [[MTLFunctionConstantValues alloc] init];
    const int32_t one = 1;
    [values setConstantValue:&one type:MTLDataTypeInt atIndex:5];
    id<MTLFunction> function = [library newFunctionWithName:@"append" constantValues:values error:&error];
    id<MTLComputePipelineState> pipeline = [device newComputePipelineStateWithFunction:function error:&error];
    id<MTLCommandQueue> queue = [device newCommandQueue];
    id<MTLBuffer> list = make_buffer(64);
    _Alignas(16) static char bytes[16];
    const struct PortableMetalBlockDescriptor plain = {.size = sizeof(struct PortableMetalBlock)};
    struct PortableMetalBlock deallocator = {.invoke = (void *)do_nothing, .descriptor = &plain};
    id<MTLBuffer> borrowed = [device newBufferWithBytesNoCopy:bytes length:16 options:0 deallocator:&deallocator];
    id<MTLTexture> texture = make_texture(MTLPixelFormatRGBA16Float, 3, 3, 2);
    id<MTLTexture> view = [texture newTextureViewWithPixelFormat:MTLPixelFormatRGBA16Float
                                                     textureType:MTLTextureType2D
                                                          levels:NSMakeRange(0, 1)
                                                          slices:NSMakeRange(0, 1)];
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    commandBuffer.label = [NSString stringWithUTF8String:"label"];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:list offset:0 atIndex:0];
    [encoder setBytes:&one length:4 atIndex:1];
    [encoder setTexture:view atIndex:0];
    [encoder useResource:list usage:MTLResourceUsageRead];
    dispatch_groups(encoder, 1);
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    /* Whatever was missing, nothing was done by half. */
    const bool done = commandBuffer && commandBuffer.status == MTLCommandBufferStatusCompleted && encoder;
    CHECK(!list || *(uint32_t *)[list contents] == (done ? 1 : 0));
    [library functionNames];
    const id made[] = {view, texture, list, borrowed, queue, pipeline, function, values, library};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; ++i) {
        [made[i] release];
    }
    const bool failed = fail_allocation(0);
    [pool drain];
    return failed;
}

CASE(failed_allocations_leave_nothing_behind)
{
    the_device();                       /* and with it the memory of the outer pool */
    const NSUInteger objects = PortableMetalLiveObjects();
    int count = 0;
    while (use_everything(++count)) {
        PortableMetalTakeViolation();
        for (int i = 0; i < 5000 && PortableMetalLiveObjects() != objects; ++i) {
            usleep(1000);
        }
        CHECK_EQUAL(PortableMetalLiveObjects(), objects);
        CHECK_EQUAL(the_device().currentAllocatedSize, 0);
    }
    fprintf(stderr, "%d allocations failed in turn\n", count - 1);
    CHECK(count > 20);
}

/* ---- Overruns, for a memory checker to see: these cases must not end well ---- */

CASE(overrun_of_buffer)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> output = make_buffer(61);
    [commit_kernel(queue, "write_past_buffer", output, MTLSizeMake(1, 1, 1)) waitUntilCompleted];
    [queue release];
    [output release];
}

static void write_past(const char *kernel, id<MTLTexture> texture, const void *bytes, NSUInteger length)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLComputePipelineState> pipeline = make_pipeline(kernel);
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setTexture:texture atIndex:0];
    [encoder setBytes:bytes length:length atIndex:0];
    dispatch_groups(encoder, 1);
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    [pipeline release];
    [queue release];
}

CASE(overrun_of_texture)
{
    id<MTLTexture> texture = make_texture(MTLPixelFormatR8Unorm, 7, 3, 3);
    write_past("write_past_texture", texture, "abcd", 4);
    [texture release];
}

CASE(overrun_of_bytes)
{
    write_past("write_past_buffer", nil, "abcdefg", 7);
}
