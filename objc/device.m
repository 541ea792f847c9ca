#import "shim.h"
#import "platform.h"
#include <stdio.h>

@implementation MCYDevice
- (id)initWithMetal:(id<MTLDevice>)device
{
    self = [super init];
    if (self) {
        metal = [device retain];
        pthread_mutex_init(&lock, NULL);
    }
    return self;
}

- (void)dealloc
{
    mcy_device_release_pipelines(self);
    pthread_mutex_destroy(&lock);
    [metal release];
    [super dealloc];
}
@end

/* Images are read and written by the CPU where they lie, so both sides must see one memory. */
static mpsrnn_status wrap(id<MTLDevice> metal, mpsrnn_device *out, mpsrnn_error *error)
{
    if (![metal hasUnifiedMemory]) {
        return mcy_fail(error, MPSRNN_STATUS_NO_DEVICE, "the Metal device '%s' has no unified memory",
                        [[metal name] UTF8String]);
    }
    MCYDevice *device = [[MCYDevice alloc] initWithMetal:metal];
    if (!device) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a device");
    }
    *out = (mpsrnn_device)device;
    return MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_device_create_default(mpsrnn_device *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    id<MTLDevice> metal = MTLCreateSystemDefaultDevice();
    const char *violation = mcy_take_violation();
    mpsrnn_status status;
    if (metal) {
        status = wrap(metal, out, error);
    } else {
        status = mcy_fail(error, MPSRNN_STATUS_NO_DEVICE, "%s",
                          violation ? violation : "this machine has no Metal device");
    }
    [metal release];
    [pool drain];
    return status;
}

mpsrnn_status mcy_device_copy_all(mpsrnn_device *out, size_t capacity, size_t *count, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    NSArray *all = MTLCopyAllDevices();
    mpsrnn_status status = MPSRNN_STATUS_OK;
    size_t stored = 0, usable = 0;
    for (NSUInteger i = 0; i < [all count] && status == MPSRNN_STATUS_OK; ++i) {
        id<MTLDevice> metal = [all objectAtIndex:i];
        if ([metal hasUnifiedMemory] && usable++ < capacity) {
            status = wrap(metal, &out[stored], error);
            stored += status == MPSRNN_STATUS_OK;
        }
    }
    if (status == MPSRNN_STATUS_OK) {
        *count = usable;
    } else {
        while (stored > 0) {
            [(id)(void *)out[--stored] release];
        }
    }
    [all release];
    [pool drain];
    return status;
}

void mcy_device_get_info(mpsrnn_device handle, mpsrnn_device_info *info)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    id<MTLDevice> metal = ((MCYDevice *)handle)->metal;
    snprintf(info->name, sizeof info->name, "%s", [[metal name] UTF8String]);
    info->registry_id = [metal registryID];
    info->max_buffer_length = [metal maxBufferLength];
    info->current_allocated_size = [metal currentAllocatedSize];
    info->thread_count = mcy_thread_count(metal);
    [pool drain];
}

mpsrnn_status mcy_device_set_thread_count(mpsrnn_device handle, uint32_t count, mpsrnn_error *error)
{
    if (mcy_set_thread_count(((MCYDevice *)handle)->metal, count)) {
        return MPSRNN_STATUS_OK;
    }
    const char *violation = mcy_take_violation();
    return violation ? mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s", violation)
                     : mcy_fail(error, MPSRNN_STATUS_UNSUPPORTED, "only a portable device has CPU threads to count");
}

bool mcy_device_is_same(mpsrnn_device a, mpsrnn_device b)
{
    return ((MCYDevice *)a)->metal == ((MCYDevice *)b)->metal;
}
