/* Every misuse of a command buffer or an encoder: what is reported, and that nothing of the command buffer runs. */
#import "cases.h"

/* What a misuse is made with. Its queue and resources are whole, its commands would succeed. */
struct setting {
    id<MTLCommandBuffer> commandBuffer;
    id<MTLComputeCommandEncoder> encoder;
    id<MTLBuffer> list;
    id<MTLTexture> array, plane, readOnly, writeOnly;
    id<MTLComputePipelineState> append, saxpy, copy, takePlane, takeIntegers, addUp;
};

static const MTLSize ONE = {1, 1, 1};

static id<MTLTexture> make_texture_for(MTLTextureType type, MTLTextureUsage usage)
{
    MTLTextureDescriptor *descriptor = make_texture_descriptor(MTLPixelFormatRGBA32Float, 2, 2, 1);
    descriptor.textureType = type;
    descriptor.usage = usage;
    id<MTLTexture> texture = [the_device() newTextureWithDescriptor:descriptor];
    [descriptor release];
    return texture;
}

static void append(const struct setting *s, uint32_t value)
{
    [s->encoder setComputePipelineState:s->append];
    [s->encoder setBuffer:s->list offset:0 atIndex:0];
    [s->encoder setBytes:&value length:sizeof value atIndex:1];
    dispatch_groups(s->encoder, 1);
}

static void run(const char *message, void (*misuse)(struct setting *))
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    const MTLTextureUsage any = MTLTextureUsageUnknown;
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    struct setting s = {
        .commandBuffer = [queue commandBuffer],
        .list = make_buffer(64),
        .array = make_texture_for(MTLTextureType2DArray, any),
        .plane = make_texture_for(MTLTextureType2D, any),
        .readOnly = make_texture_for(MTLTextureType2DArray, MTLTextureUsageShaderRead),
        .writeOnly = make_texture_for(MTLTextureType2DArray, MTLTextureUsageShaderWrite),
        .append = make_pipeline("append"),
        .saxpy = make_pipeline("saxpy"),
        .copy = make_pipeline("copy_texels"),
        .takePlane = make_pipeline("take_plane"),
        .takeIntegers = make_pipeline("take_integers"),
        .addUp = make_pipeline("add_up"),
    };
    s.encoder = [s.commandBuffer computeCommandEncoder];
    append(&s, 1);
    misuse(&s);
    [s.encoder endEncoding];
    [s.commandBuffer commit];
    [s.commandBuffer waitUntilCompleted];
    CHECK_TEXT(error_text(s.commandBuffer.error), message);
    CHECK_EQUAL(*(uint32_t *)[s.list contents], message ? 0 : 1);
    CHECK_EQUAL(s.commandBuffer.status, message ? MTLCommandBufferStatusError : MTLCommandBufferStatusCompleted);
    CHECK_EQUAL([s.commandBuffer.error code], message ? MTLCommandBufferErrorInvalidResource : 0);
    const id made[] = {s.list, s.array, s.plane, s.readOnly, s.writeOnly, s.append, s.saxpy, s.copy, s.takePlane,
                       s.takeIntegers, s.addUp, queue};
    for (size_t i = 0; i < sizeof made / sizeof made[0]; ++i) {
        [made[i] release];
    }
    [pool drain];
    CHECK_VIOLATION(NULL);
}

#define MISUSE(name, message)                                                                                          \
    static void misuse_##name(struct setting *s);                                                                      \
    CASE(misuse_is_reported_##name)                                                                                    \
    {                                                                                                                  \
        run(message, misuse_##name);                                                                                   \
    }                                                                                                                  \
    static void misuse_##name(struct setting *s)

static void nothing(struct setting *s)
{
    (void)s;
}

CASE(correct_use_is_not_reported)
{
    run(NULL, nothing);
}

/* ---- Bindings ---- */

MISUSE(buffer_not_bound, "kernel 'saxpy': buffer 2 ('a') is not bound")
{
    [s->encoder setComputePipelineState:s->saxpy];
    dispatch_groups(s->encoder, 1);
}

MISUSE(buffer_unbound_again, "kernel 'append': buffer 0 ('list') is not bound")
{
    [s->encoder setBuffer:nil offset:0 atIndex:0];
    dispatch_groups(s->encoder, 1);
}

MISUSE(buffer_too_short, "kernel 'append': buffer 0 ('list') has 2 bytes from its offset on; the kernel needs")
{
    [s->encoder setBuffer:s->list offset:62 atIndex:0];
    dispatch_groups(s->encoder, 1);
}

MISUSE(buffer_offset_beyond_end, "setBuffer (index 3): offset 64; the buffer has 64 bytes")
{
    [s->encoder setBuffer:s->list offset:64 atIndex:3];
}

MISUSE(buffer_index, "setBuffer: index 31; 0 to 30 expected")
{
    [s->encoder setBuffer:s->list offset:0 atIndex:31];
}

MISUSE(bytes_index, "setBytes: index 18446744073709551615; 0 to 30 expected")
{
    [s->encoder setBytes:"abc" length:3 atIndex:NSUIntegerMax];
}

MISUSE(bytes_too_long, "setBytes (index 0): not NULL, 4097 bytes; 1 to 4096 expected")
{
    static const char bytes[4097];
    [s->encoder setBytes:bytes length:4096 atIndex:1];
    [s->encoder setBytes:bytes length:4097 atIndex:0];
}

MISUSE(bytes_empty, "setBytes (index 0): not NULL, 0 bytes")
{
    [s->encoder setBytes:"" length:0 atIndex:0];
}

MISUSE(bytes_null, "setBytes (index 0): NULL, 4 bytes")
{
    [s->encoder setBytes:NULL length:4 atIndex:0];
}

MISUSE(bytes_too_short, "buffer 1 ('value') has 3 bytes")
{
    [s->encoder setBytes:"abc" length:3 atIndex:1];
    dispatch_groups(s->encoder, 1);
}

MISUSE(resource_nil, "useResource: the resource is nil")
{
    [s->encoder useResource:nil usage:MTLResourceUsageRead];
}

MISUSE(resource_without_usage, "useResource: usage 0; read (1), write (2) or both expected")
{
    [s->encoder useResource:s->array usage:MTLResourceUsageRead | MTLResourceUsageWrite];
    [s->encoder useResource:s->list usage:0];
}

MISUSE(resource_usage_unknown, "useResource: usage 5; read (1), write (2) or both expected")
{
    [s->encoder useResource:s->list usage:5];
}

MISUSE(resource_after_end, "useResource: the encoder has already ended")
{
    [s->encoder endEncoding];
    [s->encoder useResource:s->list usage:MTLResourceUsageRead];
    s->encoder = nil;
}

MISUSE(barrier_without_scope, "memoryBarrierWithScope: scope 0; buffers (1), textures (2) or both expected")
{
    [s->encoder memoryBarrierWithScope:MTLBarrierScopeBuffers | MTLBarrierScopeTextures];
    [s->encoder memoryBarrierWithScope:0];
}

MISUSE(barrier_scope_unknown, "memoryBarrierWithScope: scope 5; buffers")
{
    [s->encoder memoryBarrierWithScope:5];
}

MISUSE(barrier_after_end, "memoryBarrierWithScope: the encoder has already ended")
{
    [s->encoder endEncoding];
    [s->encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
    s->encoder = nil;
}

MISUSE(dispatch_type_unknown, "computeCommandEncoderWithDispatchType: type 2; serial (0) or concurrent (1) expected")
{
    [s->encoder endEncoding];
    s->encoder = nil;
    CHECK(![s->commandBuffer computeCommandEncoderWithDispatchType:2]);
}

MISUSE(threadgroup_memory_index, "setThreadgroupMemoryLength: index 31; 0 to 30 expected")
{
    [s->encoder setThreadgroupMemoryLength:16 atIndex:31];
}

MISUSE(threadgroup_memory_not_aligned, "setThreadgroupMemoryLength (index 0): 24 bytes; a multiple of 16 up to 32768")
{
    [s->encoder setThreadgroupMemoryLength:24 atIndex:0];
}

MISUSE(threadgroup_memory_too_long, "setThreadgroupMemoryLength (index 0): 32784 bytes; a multiple of 16 up to 32768")
{
    [s->encoder setThreadgroupMemoryLength:32784 atIndex:0];
}

MISUSE(threadgroup_memory_too_long_together, "kernel 'add_up': 32784 bytes of threadgroup memory; at most 32768")
{
    [s->encoder setComputePipelineState:s->addUp];
    [s->encoder setThreadgroupMemoryLength:32768 atIndex:5];
    dispatch_groups(s->encoder, 1);
}

MISUSE(threadgroup_memory_not_set, "threadgroup memory 5 ('asked') has 0 bytes; the kernel needs at least 4")
{
    [s->encoder setComputePipelineState:s->addUp];
    dispatch_groups(s->encoder, 1);
}

MISUSE(texture_not_bound, "kernel 'copy_texels': texture 1 ('dst') is not bound")
{
    [s->encoder setComputePipelineState:s->copy];
    [s->encoder setTexture:s->array atIndex:0];
    [s->encoder setTexture:s->array atIndex:1];
    [s->encoder setTexture:nil atIndex:1];
    dispatch_groups(s->encoder, 1);
}

MISUSE(texture_index, "setTexture: index 31; 0 to 30 expected")
{
    [s->encoder setTexture:s->array atIndex:31];
}

MISUSE(texture_2d_for_array, "kernel 'copy_texels': texture 0 ('src') is a 2D texture; the kernel takes a 2D array")
{
    [s->encoder setComputePipelineState:s->copy];
    [s->encoder setTexture:s->plane atIndex:0];
    [s->encoder setTexture:s->array atIndex:1];
    dispatch_groups(s->encoder, 1);
}

MISUSE(texture_array_for_2d, "texture 0 ('plane') is a 2D array texture; the kernel takes a 2D texture")
{
    [s->encoder setComputePipelineState:s->takePlane];
    [s->encoder setTexture:s->array atIndex:0];
    dispatch_groups(s->encoder, 1);
}

MISUSE(texture_component, "texture 0 ('numbers') has pixel format 125, which yields float; the kernel takes another")
{
    [s->encoder setComputePipelineState:s->takeIntegers];
    [s->encoder setTexture:s->array atIndex:0];
    dispatch_groups(s->encoder, 1);
}

MISUSE(texture_not_readable, "texture 0 ('src') has no MTLTextureUsageShaderRead; the kernel reads it")
{
    [s->encoder setComputePipelineState:s->copy];
    [s->encoder setTexture:s->writeOnly atIndex:0];
    [s->encoder setTexture:s->writeOnly atIndex:1];
    dispatch_groups(s->encoder, 1);
}

MISUSE(texture_not_writable, "texture 1 ('dst') has no MTLTextureUsageShaderWrite; the kernel writes it")
{
    [s->encoder setComputePipelineState:s->copy];
    [s->encoder setTexture:s->readOnly atIndex:0];
    [s->encoder setTexture:s->readOnly atIndex:1];
    dispatch_groups(s->encoder, 1);
}

/* ---- Dispatches ---- */

MISUSE(pipeline_nil, "setComputePipelineState: the pipeline is nil")
{
    [s->encoder setComputePipelineState:nil];
}

MISUSE(no_pipeline, "dispatchThreadgroups: no compute pipeline state is set")
{
    [s->encoder endEncoding];
    s->encoder = [s->commandBuffer computeCommandEncoder];
    dispatch_groups(s->encoder, 1);
}

MISUSE(zero_threadgroups, "kernel 'append': 1 x 0 x 1 threadgroups of 1 x 1 x 1 threads; none may be zero")
{
    [s->encoder dispatchThreadgroups:MTLSizeMake(1, 0, 1) threadsPerThreadgroup:ONE];
}

MISUSE(zero_threads, "threadgroups of 1 x 1 x 0 threads; none may be zero")
{
    [s->encoder dispatchThreadgroups:ONE threadsPerThreadgroup:MTLSizeMake(1, 1, 0)];
}

MISUSE(threadgroup_too_large, "kernel 'append': 33 x 32 x 1 threads per threadgroup; at most 1024 expected")
{
    [s->encoder dispatchThreadgroups:ONE threadsPerThreadgroup:MTLSizeMake(33, 32, 1)];
}

MISUSE(threadgroup_overflows, "threads per threadgroup; at most 1024 expected")
{
    const NSUInteger big = 0xFFFFFFFF;
    [s->encoder dispatchThreadgroups:ONE threadsPerThreadgroup:MTLSizeMake(big, big, big)];
}

MISUSE(grid_overflows, "are too many threadgroups")
{
    const NSUInteger big = 0xFFFFFFFF;
    [s->encoder dispatchThreadgroups:MTLSizeMake(big, big, 2) threadsPerThreadgroup:ONE];
}

MISUSE(grid_side_overflows, "kernel 'append': 4294967296 x 1 x 1 are too many threadgroups")
{
    [s->encoder dispatchThreadgroups:MTLSizeMake(1UL << 32, 1, 1) threadsPerThreadgroup:ONE];
}

/* ---- The order of calls ---- */

MISUSE(encoding_after_end, "setBuffer: the encoder has already ended")
{
    [s->encoder endEncoding];
    [s->encoder setBuffer:s->list offset:0 atIndex:0];
    s->encoder = nil;
}

MISUSE(dispatch_after_end, "dispatchThreadgroups: the encoder has already ended")
{
    [s->encoder endEncoding];
    dispatch_groups(s->encoder, 1);
    s->encoder = nil;
}

MISUSE(ended_twice, "endEncoding: the encoder has already ended")
{
    [s->encoder endEncoding];
}

MISUSE(second_encoder, "computeCommandEncoder: the encoder before it has not ended; endEncoding comes first")
{
    CHECK(![s->commandBuffer computeCommandEncoder]);
}

MISUSE(encoder_abandoned, "a command encoder was released without endEncoding")
{
    [s->encoder endEncoding];
    s->encoder = nil;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    [s->commandBuffer computeCommandEncoder];
    [pool drain];
}

MISUSE(first_of_several, "setTexture: index 40")
{
    [s->encoder setTexture:s->array atIndex:40];
    [s->encoder setBuffer:s->list offset:0 atIndex:41];
}

MISUSE(handler_null, "addCompletedHandler: the block is NULL")
{
    [s->commandBuffer addCompletedHandler:NULL];
}

CASE(misuse_after_commit_is_the_threads)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [encoder endEncoding];
    [commandBuffer waitUntilCompleted];
    CHECK_VIOLATION("waitUntilCompleted: the command buffer is not committed");
    [commandBuffer commit];
    [commandBuffer commit];
    CHECK_VIOLATION("commit: the command buffer is already committed");
    CHECK(![commandBuffer computeCommandEncoder]);
    CHECK_VIOLATION("computeCommandEncoder: the command buffer is already committed");
    [encoder setTexture:nil atIndex:0];
    CHECK_VIOLATION("setTexture: the encoder has already ended");
    struct PortableMetalBlock block = {NULL, PortableMetalBlockIsGlobal, 0, NULL, NULL};
    [commandBuffer addCompletedHandler:&block];
    CHECK_VIOLATION("addCompletedHandler: the command buffer is already committed");
    [commandBuffer waitUntilCompleted];
    CHECK_EQUAL(commandBuffer.status, MTLCommandBufferStatusCompleted);
    [queue release];
}

CASE(commit_ends_an_open_encoder)
{
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> commandBuffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [commandBuffer computeCommandEncoder];
    [commandBuffer commit];
    dispatch_groups(encoder, 1);
    CHECK_VIOLATION("dispatchThreadgroups: the encoder has already ended");
    [commandBuffer waitUntilCompleted];
    CHECK_TEXT(error_text(commandBuffer.error), "commit: a command encoder is open; endEncoding comes first");
    [queue release];
}
