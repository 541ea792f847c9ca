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

size_t mcy_buffer_length(mpsrnn_buffer buffer)
{
    return [((MCYBuffer *)buffer)->metal length];
}

void *mcy_buffer_contents(mpsrnn_buffer handle)
{
    id<MTLBuffer> metal = ((MCYBuffer *)handle)->metal;
    return [metal storageMode] == MTLStorageModePrivate ? NULL : [metal contents];
}
