/* Command queues, command buffers and encoders, used as they should be. */
#import "cases.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A block made by hand: counts its copies, and notes what it saw when it was called. */
struct handler {
    struct PortableMetalBlock block;
    struct record *record;
    int number;
};

struct record {
    int copies, disposals, calls;
    int order[8];
    MTLCommandBufferStatus status;
    id released;                        /* a last reference, dropped by the handler */
    id<MTLCommandBuffer> committed;     /* committed by the handler */
    NSUInteger allocatedSize;
    bool waits, misused;
};

static void invoke(struct PortableMetalBlock *block, id<MTLCommandBuffer> commandBuffer)
{
    const struct handler *handler = (const struct handler *)block;
    struct record *record = handler->record;
    record->order[record->calls % 8] = handler->number;
    record->status = commandBuffer.status;
    record->allocatedSize = the_device().currentAllocatedSize;
    if (record->waits) {
        [commandBuffer waitUntilCompleted];
        record->misused = PortableMetalTakeViolation() != NULL;
    }
    [record->released release];
    record->released = nil;
    [record->committed commit];
    __atomic_fetch_add(&record->calls, 1, __ATOMIC_RELEASE);
}

static void count_copy(void *destination, const void *source)
{
    (void)destination;
    ++((const struct handler *)source)->record->copies;
}

static void count_disposal(const void *block)
{
    ++((const struct handler *)block)->record->disposals;
}

static const struct PortableMetalBlockDescriptor counting = {0, sizeof(struct handler), count_copy, count_disposal};

static const struct {
    unsigned long reserved, size;
} plain = {0, sizeof(struct handler)};

static void add_handler(id<MTLCommandBuffer> commandBuffer, struct record *record, int number)
{
    struct handler handler = {{NULL, PortableMetalBlockHasCopyDispose, 0, invoke, &counting}, record, number};
    [commandBuffer addCompletedHandler:&handler.block];
    memset(&handler, 0xAA, sizeof handler);
}

static void encode_append(id<MTLComputeCommandEncoder> encoder, id<MTLBuffer> list, uint32_t value)
{
    id<MTLComputePipelineState> pipeline = make_pipeline("append");
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:list offset:0 atIndex:0];
    [encoder setBytes:&value length:sizeof value atIndex:1];
    dispatch_groups(encoder, 1);
    [pipeline release];
}

static id<MTLCommandBuffer> append_buffer(id<MTLCommandQueue> queue, id<MTLBuffer> list, uint32_t value)
{
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    encode_append(encoder, list, value);
    [encoder endEncoding];
    return commandBuffer;
}

CASE(saxpy_computes)
{
    enum { COUNT = 1000, OFFSET = 8 };
    id<MTLBuffer> x = make_buffer(COUNT * sizeof(float)), y = make_buffer((COUNT + OFFSET) * sizeof(float));
    for (int i = 0; i < COUNT; ++i) {
        ((float *)[x contents])[i] = (float)i;
        ((float *)[y contents])[OFFSET + i] = 1;
    }
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLComputePipelineState> pipeline = make_pipeline("saxpy");
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    CHECK(encoder.device == the_device());
    encoder.label = @"saxpy";
    CHECK_TEXT([encoder.label UTF8String], "saxpy");
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:x offset:0 atIndex:0];
    [encoder setBuffer:y offset:OFFSET * sizeof(float) atIndex:1];
    static const NSUInteger threads[] = {64, 1024};
    for (int i = 0; i < 2; ++i) {
        const float a = (float)(1 + i);
        [encoder setBytes:&a length:sizeof a atIndex:2];
        [encoder dispatchThreadgroups:MTLSizeMake((COUNT + threads[i] - 1) / threads[i], 1, 1)
                threadsPerThreadgroup:MTLSizeMake(threads[i], 1, 1)];
    }
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusCompleted);
    int right = 0;
    for (int i = 0; i < COUNT; ++i) {
        right += ((float *)[y contents])[OFFSET + i] == 1 + 3 * (float)i;
    }
    CHECK_EQUAL(right, COUNT);
    CHECK_EQUAL(((float *)[y contents])[OFFSET - 1], 0);
    [pipeline release];
    [queue release];
    [x release];
    [y release];
}

CASE(textures_bind_whole_and_as_views)
{
    const float in[] = {1, 2, 3, 4, 5, 6, 7, 8};
    float out[8] = {0};
    const MTLRegion all = MTLRegionMake2D(0, 0, 2, 1);
    id<MTLTexture> src = make_texture(MTLPixelFormatRGBA32Float, 2, 1, 3);
    id<MTLTexture> dst = make_texture(MTLPixelFormatRGBA32Float, 2, 1, 1);
    id<MTLTexture> last = [src newTextureViewWithPixelFormat:MTLPixelFormatRGBA32Float
                                                 textureType:MTLTextureType2DArray
                                                      levels:NSMakeRange(0, 1)
                                                      slices:NSMakeRange(2, 1)];
    [src replaceRegion:all mipmapLevel:0 slice:2 withBytes:in bytesPerRow:sizeof in bytesPerImage:0];
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLComputePipelineState> pipeline = make_pipeline("copy_texels");
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setTexture:last atIndex:0];
    [encoder setTexture:dst atIndex:1];
    [encoder dispatchThreadgroups:MTLSizeMake(2, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
    /* One texture may be read and written by one dispatch. */
    [encoder setTexture:dst atIndex:0];
    [encoder dispatchThreadgroups:MTLSizeMake(2, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    [dst getBytes:out bytesPerRow:sizeof out bytesPerImage:0 fromRegion:all mipmapLevel:0 slice:0];
    CHECK(memcmp(in, out, sizeof in) == 0);
    [pipeline release];
    [queue release];
    [last release];
    [src release];
    [dst release];
}

CASE(command_buffers_describe_themselves)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    queue.label = @"queue";
    CHECK_TEXT([queue.label UTF8String], "queue");
    CHECK(queue.device == the_device());
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    commandBuffer.label = @"step";
    CHECK_TEXT([commandBuffer.label UTF8String], "step");
    CHECK(commandBuffer.device == the_device() && commandBuffer.commandQueue == queue);
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusNotEnqueued);
    CHECK(commandBuffer.GPUStartTime == 0 && commandBuffer.GPUEndTime == 0 && !commandBuffer.error);
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusCompleted);
    CHECK(commandBuffer.GPUStartTime > 0 && commandBuffer.GPUEndTime >= commandBuffer.GPUStartTime);
    CHECK(!commandBuffer.error);
    [queue release];
}

CASE(commands_run_in_order)
{
    enum { BUFFERS = 50, DISPATCHES = 4 };
    id<MTLBuffer> list = make_buffer((1 + BUFFERS * DISPATCHES) * sizeof(uint32_t));
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> last = nil;
    for (uint32_t i = 0; i < BUFFERS; ++i) {
        last = [queue commandBuffer];
        for (uint32_t j = 0; j < DISPATCHES; ++j) {
            id<MTLComputeCommandEncoder> encoder = [last computeCommandEncoder];
            encode_append(encoder, list, i * DISPATCHES + j);
            [encoder endEncoding];
        }
        [last commit];
    }
    [last waitUntilCompleted];
    const uint32_t *values = [list contents];
    CHECK_EQUAL(values[0], BUFFERS * DISPATCHES);
    uint32_t right = 0;
    while (right < BUFFERS * DISPATCHES && values[1 + right] == right) {
        ++right;
    }
    CHECK_EQUAL(right, BUFFERS * DISPATCHES);
    [queue release];
    [list release];
}

CASE(resources_live_until_the_commands_have_run)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> list = make_buffer(64);
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    id<MTLCommandBuffer> commandBuffer = [append_buffer(queue, list, 7) retain];
    struct record record = {0};
    add_handler(commandBuffer, &record, 0);
    [pool drain];
    CHECK_EQUAL([list retainCount], 2);
    [list release];
    CHECK_EQUAL(the_device().currentAllocatedSize, 64);
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    CHECK_EQUAL(record.allocatedSize, 0);
    CHECK_EQUAL(the_device().currentAllocatedSize, 0);
    /* One that is never committed lets go too. */
    list = make_buffer(64);
    append_buffer(queue, list, 7);
    [list release];
    [commandBuffer release];
    [queue release];
}

CASE(handlers_are_copied_called_in_order_and_disposed_of)
{
    struct record record = {0};
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    for (int i = 0; i < 3; ++i) {
        add_handler(commandBuffer, &record, 10 + i);
    }
    struct handler simple = {{NULL, 0, 0, invoke, (const struct PortableMetalBlockDescriptor *)&plain}, &record, 20};
    [commandBuffer addCompletedHandler:&simple.block];
    simple.number = 21;
    struct handler global = {{NULL, PortableMetalBlockIsGlobal, 0, invoke, &counting}, &record, 30};
    [commandBuffer addCompletedHandler:&global.block];
    global.number = 31;
    CHECK_EQUAL(record.copies, 3);
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    /* Whoever waited finds the handlers done. */
    CHECK_EQUAL(record.calls, 5);
    CHECK_EQUAL(record.disposals, 3);
    CHECK(record.order[0] == 10 && record.order[1] == 11 && record.order[2] == 12);
    CHECK(record.order[3] == 20 && record.order[4] == 31);
    CHECK_EQUAL(record.status, MTLCommandBufferStatusCompleted);
    /* Of a command buffer that is never committed it is disposed of uncalled. */
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    add_handler([queue commandBuffer], &record, 40);
    [pool drain];
    CHECK(record.calls == 5 && record.disposals == 4);
    [queue release];
}

CASE(handlers_may_wait_commit_and_release)
{
    struct record first = {0}, second = {0};
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer], next = [queue commandBuffer];
    first.waits = true;
    first.committed = next;
    add_handler(commandBuffer, &first, 1);
    add_handler(next, &second, 2);
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    [next waitUntilCompleted];
    CHECK(first.calls == 1 && second.calls == 1 && !first.misused);

    /* The handler holds the last references to its command buffer and to the queue, whose thread it runs on. */
    struct record last = {0};
    commandBuffer = [[queue commandBuffer] retain];
    last.released = commandBuffer;
    add_handler(commandBuffer, &last, 3);
    [queue release];
    [pool drain];
    [commandBuffer commit];
    for (int i = 0; i < 5000 && __atomic_load_n(&last.calls, __ATOMIC_ACQUIRE) == 0; ++i) {
        usleep(1000);
    }
    CHECK_EQUAL(last.calls, 1);
}

static char other_wait_violation[512];

static void wait_for_other(struct PortableMetalBlock *block, id<MTLCommandBuffer> commandBuffer)
{
    id<MTLCommandBuffer> next = (id<MTLCommandBuffer>)(void *)((struct handler *)block)->record;
    (void)commandBuffer;
    while (next.status == MTLCommandBufferStatusNotEnqueued) {
        usleep(100);
    }
    [next waitUntilCompleted];
    const char *violation = PortableMetalTakeViolation();
    snprintf(other_wait_violation, sizeof other_wait_violation, "%s", violation ? violation : "none");
}

CASE(handler_that_would_wait_for_ever_is_told)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer], next = [queue commandBuffer];
    struct handler handler = {{NULL, 0, 0, wait_for_other, NULL}, (void *)next, 0};
    handler.block.descriptor = (const struct PortableMetalBlockDescriptor *)&plain;
    [commandBuffer addCompletedHandler:&handler.block];
    [commandBuffer commit];
    [next commit];
    [next waitUntilCompleted];
    CHECK_TEXT(other_wait_violation, "waits for a command buffer of its own queue");
    [queue release];
}

CASE(failure_skips_the_rest_of_its_command_buffer_only)
{
    setenv("MPSRNN_VALIDATION", "1", 1);
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> list = make_buffer(64), small = make_buffer(4);
    id<MTLComputePipelineState> failing = make_pipeline("variant");
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    encode_append(encoder, list, 1);
    [encoder setComputePipelineState:failing];
    [encoder setBuffer:small offset:0 atIndex:0];
    dispatch_groups(encoder, 2);
    encode_append(encoder, list, 2);
    [encoder endEncoding];
    struct record record = {0};
    add_handler(commandBuffer, &record, 0);
    id<MTLCommandBuffer> later = append_buffer(queue, list, 3);
    [commandBuffer commit];
    [later commit];
    [later waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusError);
    CHECK_EQUAL(record.status, MTLCommandBufferStatusError);
    CHECK_TEXT(error_text(commandBuffer.error), "kernel 'variant': write outside the buffer 'output'");
    CHECK(!later.error);
    const uint32_t *values = [list contents];
    CHECK(values[0] == 2 && values[1] == 1 && values[2] == 3);
    [failing release];
    [small release];
    [list release];
    [queue release];
}
