#import "compute_encoder.h"
#include <stdio.h>
#include <string.h>
#import "buffer.h"
#import "executor.h"
#import "violation.h"

enum { MAX_BYTES = 4096 };

_Static_assert((int)MTLResourceUsageRead == MSL_ACCESS_READ && (int)MTLResourceUsageWrite == MSL_ACCESS_WRITE,
               "the usage of a resource is what kernels may do with it");

@implementation PMComputeCommandEncoder
- (id)initWithCommandBuffer:(PMCommandBuffer *)commandBuffer device:(PMDevice *)device
                 concurrent:(BOOL)isConcurrent
{
    self = [super initWithDevice:device];
    _isConcurrent = isConcurrent;
    _commandBuffer = [commandBuffer retain];
    return self;
}

- (void)dealloc
{
    if (!_ended) {
        pm_command_buffer_misuse(_commandBuffer, "a command encoder was released without endEncoding");
        [_commandBuffer encoderDidEnd];
    }
    [_commandBuffer release];
    [super dealloc];
}

- (void)endEncoding
{
    if (_ended) {
        pm_command_buffer_misuse(_commandBuffer, "endEncoding: the encoder has already ended");
        return;
    }
    _ended = YES;
    [_commandBuffer encoderDidEnd];
}

/* Is the encoder open, and `index` a place in the table of `count` bindings? */
- (BOOL)check:(const char *)call index:(NSUInteger)index count:(NSUInteger)count
{
    if (_ended) {
        pm_command_buffer_misuse(_commandBuffer, "%s: the encoder has already ended", call);
        return NO;
    }
    if (index >= count) {
        pm_command_buffer_misuse(_commandBuffer, "%s: index %lu; 0 to %lu expected", call, index, count - 1);
        return NO;
    }
    return YES;
}

- (void)setComputePipelineState:(id<MTLComputePipelineState>)state
{
    if (![self check:"setComputePipelineState" index:0 count:1]) {
        return;
    }
    if (!state) {
        pm_command_buffer_misuse(_commandBuffer, "setComputePipelineState: the pipeline is nil");
        return;
    }
    if ([_commandBuffer keepResource:state]) {
        _pipeline = (PMComputePipelineState *)state;
    }
}

- (void)setBytes:(const void *)bytes length:(NSUInteger)length atIndex:(NSUInteger)index
{
    if (![self check:"setBytes" index:index count:MSL_BUFFER_COUNT]) {
        return;
    }
    if (!bytes || length - 1 >= MAX_BYTES) {
        pm_command_buffer_misuse(_commandBuffer, "setBytes (index %lu): %s, %lu bytes; 1 to %d expected", index,
                                 bytes ? "not NULL" : "NULL", length, MAX_BYTES);
        return;
    }
    void *contents = [_commandBuffer keepBytes:bytes length:length];
    if (contents) {
        _dispatch.buffers[index] = (struct msl_buffer){contents, length, NULL};
    }
}

- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index
{
    if (![self check:"setBuffer" index:index count:MSL_BUFFER_COUNT]) {
        return;
    }
    if (!buffer) {
        _dispatch.buffers[index] = (struct msl_buffer){NULL, 0, NULL};
        return;
    }
    if (offset >= [buffer length]) {
        pm_command_buffer_misuse(_commandBuffer, "setBuffer (index %lu): offset %lu; the buffer has %lu bytes", index,
                                 offset, [buffer length]);
        return;
    }
    if ([_commandBuffer keepResource:buffer]) {
        char *storage = [(PMBuffer *)buffer storage];
        struct msl_derivation **derivations = offset == 0 ? [(PMBuffer *)buffer derivations] : NULL;
        _dispatch.buffers[index] = (struct msl_buffer){storage + offset, [buffer length] - offset, derivations};
    }
}

- (void)setThreadgroupMemoryLength:(NSUInteger)length atIndex:(NSUInteger)index
{
    if (![self check:"setThreadgroupMemoryLength" index:index count:MSL_THREADGROUP_COUNT]) {
        return;
    }
    if (length > MSL_THREADGROUP_MEMORY || length % MSL_THREADGROUP_ALIGNMENT) {
        pm_command_buffer_misuse(_commandBuffer,
                                 "setThreadgroupMemoryLength (index %lu): %lu bytes; a multiple of %d up to %d "
                                 "expected",
                                 index, length, MSL_THREADGROUP_ALIGNMENT, MSL_THREADGROUP_MEMORY);
        return;
    }
    _dispatch.threadgroup_lengths[index] = (uint32_t)length;
}

- (void)setTexture:(id<MTLTexture>)texture atIndex:(NSUInteger)index
{
    if (![self check:"setTexture" index:index count:MSL_TEXTURE_COUNT]) {
        return;
    }
    if (texture && ![_commandBuffer keepResource:texture]) {
        return;
    }
    _textures[index] = (PMTexture *)texture;
    _dispatch.textures[index] = texture ? *[_textures[index] contents] : (struct msl_texture){NULL, 0, 0, 0, 0};
}

- (void)useResource:(id<MTLResource>)resource usage:(MTLResourceUsage)usage
{
    if (![self check:"useResource" index:0 count:1]) {
        return;
    }
    if (!resource) {
        pm_command_buffer_misuse(_commandBuffer, "useResource: the resource is nil");
        return;
    }
    if (usage == 0 || (usage & ~(NSUInteger)(MTLResourceUsageRead | MTLResourceUsageWrite))) {
        pm_command_buffer_misuse(_commandBuffer, "useResource: usage %lu; read (1), write (2) or both expected", usage);
        return;
    }
    if (![_commandBuffer keepResource:resource] || ![(id)resource isKindOfClass:[PMBuffer class]]) {
        return;
    }
    PMBuffer *buffer = (PMBuffer *)resource;
    const struct msl_resource used = {_dispatch.resources, [buffer storage], [buffer length], (uint32_t)usage};
    const struct msl_resource *kept = [_commandBuffer keepBytes:&used length:sizeof used];
    if (kept) {
        _dispatch.resources = kept;
    }
}

/* ---- Dispatch ---- */

/* Each of these writes what is wrong with a binding into `problem`, or leaves it empty. */

static void check_buffer(const struct msl_argument *argument, const struct msl_buffer *buffer, char *problem,
                         size_t size)
{
    if (!buffer->contents) {
        snprintf(problem, size, "is not bound");
    } else if (buffer->length < argument->size) {
        snprintf(problem, size, "has %zu bytes from its offset on; the kernel needs at least %u", buffer->length,
                 argument->size);
    }
}

static void check_threadgroup_memory(const struct msl_argument *argument, uint32_t length, char *problem, size_t size)
{
    if (length < argument->size) {
        snprintf(problem, size, "has %u bytes; the kernel needs at least %u", length, argument->size);
    }
}

static void check_texture(const struct msl_argument *argument, PMTexture *texture, char *problem, size_t size)
{
    const BOOL wantsArray = argument->kind == MSL_ARGUMENT_TEXTURE_2D_ARRAY;
    const MTLTextureUsage usage = [texture usage];
    if (!texture) {
        snprintf(problem, size, "is not bound");
    } else if (([texture textureType] == MTLTextureType2DArray) != wantsArray) {
        snprintf(problem, size, "is a %s texture; the kernel takes a %s", wantsArray ? "2D" : "2D array",
                 wantsArray ? "2D array" : "2D texture");
    } else if (argument->component != MSL_COMPONENT_FLOAT) {
        snprintf(problem, size, "has pixel format %lu, which yields float; the kernel takes another component type",
                 [texture pixelFormat]);
    } else if (usage != MTLTextureUsageUnknown && (argument->access & MSL_ACCESS_READ)
               && !(usage & MTLTextureUsageShaderRead)) {
        snprintf(problem, size, "has no MTLTextureUsageShaderRead; the kernel reads it");
    } else if (usage != MTLTextureUsageUnknown && (argument->access & MSL_ACCESS_WRITE)
               && !(usage & MTLTextureUsageShaderWrite)) {
        snprintf(problem, size, "has no MTLTextureUsageShaderWrite; the kernel writes it");
    }
}

/* Is everything bound that the kernel uses, as it uses it? */
- (BOOL)checkBindings
{
    PMFunction *function = [_pipeline function];
    const struct msl_kernel *kernel = [function kernel];
    for (size_t i = 0; i < kernel->argument_count; ++i) {
        const struct msl_argument *argument = &kernel->arguments[i];
        const char *what = "texture";
        char problem[PM_MESSAGE_SIZE];
        problem[0] = 0;
        if (![function hasArgument:argument]) {
            continue;
        }
        if (argument->kind == MSL_ARGUMENT_BUFFER) {
            what = "buffer";
            check_buffer(argument, &_dispatch.buffers[argument->index], problem, sizeof problem);
        } else if (argument->kind == MSL_ARGUMENT_THREADGROUP) {
            what = "threadgroup memory";
            check_threadgroup_memory(argument, _dispatch.threadgroup_lengths[argument->index], problem, sizeof problem);
        } else {
            check_texture(argument, _textures[argument->index], problem, sizeof problem);
        }
        if (problem[0]) {
            pm_command_buffer_misuse(_commandBuffer, "kernel '%s': %s %u ('%s') %s", kernel->name, what,
                                     argument->index, argument->name, problem);
            return NO;
        }
    }
    const size_t memory = pm_threadgroup_memory(kernel, &_dispatch);
    if (memory > MSL_THREADGROUP_MEMORY) {
        pm_command_buffer_misuse(_commandBuffer, "kernel '%s': %zu bytes of threadgroup memory; at most %d expected",
                                 kernel->name, memory, MSL_THREADGROUP_MEMORY);
        return NO;
    }
    return YES;
}

static BOOL product_fits(MTLSize size, NSUInteger limit)
{
    NSUInteger plane, volume;
    return size.width <= UINT32_MAX && size.height <= UINT32_MAX && size.depth <= UINT32_MAX
           && !__builtin_mul_overflow(size.width, size.height, &plane)
           && !__builtin_mul_overflow(plane, size.depth, &volume) && volume <= limit;
}

- (BOOL)checkThreadgroups:(MTLSize)groups threads:(MTLSize)threads
{
    const char *kernel = [[_pipeline function] kernel]->name;
    if (!groups.width || !groups.height || !groups.depth || !threads.width || !threads.height || !threads.depth) {
        pm_command_buffer_misuse(_commandBuffer,
                                 "kernel '%s': %lu x %lu x %lu threadgroups of %lu x %lu x %lu threads; none may be "
                                 "zero",
                                 kernel, groups.width, groups.height, groups.depth, threads.width, threads.height,
                                 threads.depth);
        return NO;
    }
    if (!product_fits(threads, PM_MAX_THREADS_PER_THREADGROUP)) {
        pm_command_buffer_misuse(_commandBuffer,
                                 "kernel '%s': %lu x %lu x %lu threads per threadgroup; at most %d expected", kernel,
                                 threads.width, threads.height, threads.depth, PM_MAX_THREADS_PER_THREADGROUP);
        return NO;
    }
    if (!product_fits(groups, SIZE_MAX)) {
        pm_command_buffer_misuse(_commandBuffer, "kernel '%s': %lu x %lu x %lu are too many threadgroups", kernel,
                                 groups.width, groups.height, groups.depth);
        return NO;
    }
    return YES;
}

- (void)dispatchThreadgroups:(MTLSize)threadgroupsPerGrid threadsPerThreadgroup:(MTLSize)threadsPerThreadgroup
{
    if (![self check:"dispatchThreadgroups" index:0 count:1]) {
        return;
    }
    if (!_pipeline) {
        pm_command_buffer_misuse(_commandBuffer, "dispatchThreadgroups: no compute pipeline state is set");
        return;
    }
    if (![self checkThreadgroups:threadgroupsPerGrid threads:threadsPerThreadgroup] || ![self checkBindings]) {
        return;
    }
    _dispatch.constants = [[_pipeline function] constants];
    _dispatch.threadgroups[0] = (uint32_t)threadgroupsPerGrid.width;
    _dispatch.threadgroups[1] = (uint32_t)threadgroupsPerGrid.height;
    _dispatch.threadgroups[2] = (uint32_t)threadgroupsPerGrid.depth;
    _dispatch.threads_per_threadgroup[0] = (uint32_t)threadsPerThreadgroup.width;
    _dispatch.threads_per_threadgroup[1] = (uint32_t)threadsPerThreadgroup.height;
    _dispatch.threads_per_threadgroup[2] = (uint32_t)threadsPerThreadgroup.depth;
    [_commandBuffer recordFunction:[_pipeline function] dispatch:&_dispatch overlaps:_overlaps];
    _overlaps = _isConcurrent;
}

- (void)memoryBarrierWithScope:(MTLBarrierScope)scope
{
    if (![self check:"memoryBarrierWithScope" index:0 count:1]) {
        return;
    }
    if (scope == 0 || (scope & ~(NSUInteger)(MTLBarrierScopeBuffers | MTLBarrierScopeTextures))) {
        pm_command_buffer_misuse(_commandBuffer,
                                 "memoryBarrierWithScope: scope %lu; buffers (1), textures (2) or both expected", scope);
        return;
    }
    _overlaps = NO;
}
@end
