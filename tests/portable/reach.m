/* What kernels reach besides their bindings: resources by way of pointers, and memory of their threadgroup. */
#import "cases.h"

static uint32_t length_of(id<MTLBuffer> list)
{
    return *(const uint32_t *)[list contents];
}

CASE(used_resources_are_retained_and_found_by_what_follows)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLComputePipelineState> pipeline = make_pipeline("append_there");
    id<MTLBuffer> otherwise = make_buffer(64), there = make_buffer(64), readOnly = make_buffer(64);
    CHECK(there.gpuAddress != 0 && there.gpuAddress != readOnly.gpuAddress);
    uint64_t address = there.gpuAddress;
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:otherwise offset:0 atIndex:0];
    [encoder setBytes:&address length:sizeof address atIndex:1];
    dispatch_groups(encoder, 1);                /* before it is used: not found */
    const NSUInteger count = [there retainCount];
    [encoder useResource:there usage:MTLResourceUsageRead | MTLResourceUsageWrite];
    [encoder useResource:readOnly usage:MTLResourceUsageRead];
    CHECK_EQUAL([there retainCount], count + 1);
    dispatch_groups(encoder, 1);
    dispatch_groups(encoder, 1);
    address = readOnly.gpuAddress;
    [encoder setBytes:&address length:sizeof address atIndex:1];
    dispatch_groups(encoder, 1);                /* not found, for reading only */
    [encoder endEncoding];
    address = there.gpuAddress;
    encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:otherwise offset:0 atIndex:0];
    [encoder setBytes:&address length:sizeof address atIndex:1];
    dispatch_groups(encoder, 1);                /* not found by another encoder */
    [encoder endEncoding];
    [commandBuffer commit];
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    CHECK_EQUAL(length_of(there), 2);
    CHECK_EQUAL(length_of(otherwise), 3);
    CHECK_EQUAL(length_of(readOnly), 0);
    CHECK_EQUAL([there retainCount], count);
    [pipeline release];
    [otherwise release];
    [there release];
    [readOnly release];
    [queue release];
}

/* Encodes a dispatch of threadgroups of 40 threads, of which the first `limit` come to the barrier. */
static id<MTLCommandBuffer> add_up(id<MTLCommandQueue> queue, id<MTLBuffer> sums, uint32_t limit, NSUInteger groups)
{
    id<MTLComputePipelineState> pipeline = make_pipeline("add_up");
    CHECK_EQUAL(pipeline.staticThreadgroupMemoryLength, 16);
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:sums offset:0 atIndex:0];
    [encoder setBytes:&limit length:sizeof limit atIndex:1];
    [encoder setThreadgroupMemoryLength:160 atIndex:5];
    [encoder dispatchThreadgroups:MTLSizeMake(groups, 1, 1) threadsPerThreadgroup:MTLSizeMake(40, 1, 1)];
    [encoder endEncoding];
    [commandBuffer commit];
    [pipeline release];
    return commandBuffer;
}

CASE(threads_of_a_threadgroup_work_together)
{
    enum { GROUPS = 100 };
    CHECK_EQUAL(the_device().maxThreadgroupMemoryLength, 32768);
    PortableMetalSetThreadCount(the_device(), 3);
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLBuffer> sums = make_buffer(GROUPS * sizeof(uint32_t));
    id<MTLCommandBuffer> commandBuffer = add_up(queue, sums, 40, GROUPS);
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    for (int i = 0; i < GROUPS; ++i) {
        CHECK_EQUAL(((uint32_t *)[sums contents])[i], 2 * 780);
    }
    commandBuffer = add_up(queue, sums, 39, GROUPS);
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL([commandBuffer.error code], MTLCommandBufferErrorInternal);
    CHECK_TEXT(error_text(commandBuffer.error), "kernel 'add_up': threadgroup_barrier: some threads of a threadgroup");
    commandBuffer = add_up(queue, sums, 40, GROUPS);
    [commandBuffer waitUntilCompleted];
    CHECK(!commandBuffer.error);
    [sums release];
    [queue release];
}
