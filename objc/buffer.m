/* Plain memory of a device: what matrices and vectors are views of. */
#import "shim.h"
#import "platform.h"
#include <string.h>

@implementation MCYBuffer
- (void)dealloc
{
    [metal release];
    [device release];
    [super dealloc];
}
@end

mpsrnn_status mcy_buffer_create(MCYDevice *device, size_t length, MTLResourceOptions options, MCYBuffer **out,
                                mpsrnn_error *error)
{
    mcy_take_violation();                       /* whatever happened before on this thread is not this call's */
    MCYBuffer *buffer = [[MCYBuffer alloc] init];
    id<MTLBuffer> metal = length > 0 ? [device->metal newBufferWithLength:length options:options] : nil;
    if (!buffer || !metal) {
        const char *violation = mcy_take_violation();
        [buffer release];
        [metal release];
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "a buffer of %zu bytes: %s", length,
                        violation ? violation : "out of memory");
    }
    buffer->device = [device retain];
    buffer->metal = metal;
    *out = buffer;
    return MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_buffer_create_with_bytes(MCYDevice *device, const void *bytes, size_t length, MCYBuffer **out,
                                           mpsrnn_error *error)
{
    mpsrnn_status status = mcy_buffer_create(device, length, MTLResourceStorageModeShared, out, error);
    if (status == MPSRNN_STATUS_OK) {
        memcpy([(*out)->metal contents], bytes, length);
    }
    return status;
}

mpsrnn_status mcy_buffer_handle_create(mpsrnn_device device, size_t length, uint32_t storage_mode, mpsrnn_buffer *out,
                                       mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    const MTLResourceOptions options = storage_mode == MTLStorageModePrivate ? MTLResourceStorageModePrivate
                                                                             : MTLResourceStorageModeShared;
    mpsrnn_status status = mcy_buffer_create((MCYDevice *)device, length, options, (MCYBuffer **)out, error);
    [pool drain];
    return status;
}

static const mcy_block_descriptor release_descriptor = { 0, sizeof(struct mcy_block), "v24@?0^v8Q16" };

static void release_bytes(struct mcy_block *block, void *pointer, NSUInteger length)
{
    (void)pointer;
    (void)length;
    block->function(block->context);
}

mpsrnn_status mcy_buffer_handle_create_no_copy(mpsrnn_device handle, void *bytes, size_t length,
                                               mpsrnn_completion release, void *context, mpsrnn_buffer *out,
                                               mpsrnn_error *error)
{
    const size_t unit = mcy_no_copy_alignment(), length_unit = mcy_no_copy_length_unit();
    if (!bytes || (uintptr_t)bytes % unit != 0 || length == 0 || length % length_unit != 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT,
                        "a buffer without a copy: got %zu bytes at %p; expected 1 byte or more, a multiple of %zu, at "
                        "a multiple of %zu", length, bytes, length_unit, unit);
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mcy_take_violation();
    MCYDevice *device = (MCYDevice *)handle;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    struct mcy_block block = {
        MCY_STACK_BLOCK_ISA, MCY_BLOCK_HAS_SIGNATURE, 0, (void (*)(void))release_bytes, &release_descriptor, release,
        context,
    };
    /* The handle first: once there is a Metal buffer, its release would call the caller's. */
    MCYBuffer *buffer = [[MCYBuffer alloc] init];
    if (buffer) {
        buffer->metal = [device->metal newBufferWithBytesNoCopy:bytes
                                                         length:length
                                                        options:MTLResourceStorageModeShared
                                                    deallocator:release ? (void *)&block : NULL];
    }
    if (buffer && buffer->metal) {
        buffer->device = [device retain];
        *out = (mpsrnn_buffer)buffer;
    } else {
        const char *violation = mcy_take_violation();
        [buffer release];
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "a buffer of %zu bytes without a copy: %s", length,
                          violation ? violation : "out of memory");
    }
    [pool drain];
    return status;
}

size_t mcy_buffer_length(mpsrnn_buffer buffer)
{
    return [((MCYBuffer *)buffer)->metal length];
}

void *mcy_buffer_contents(mpsrnn_buffer handle)
{
    id<MTLBuffer> metal = ((MCYBuffer *)handle)->metal;
    return [metal storageMode] == MTLStorageModePrivate ? NULL : [metal contents];
}
