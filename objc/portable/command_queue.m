#import "command_queue.h"
#import "command_buffer.h"

@implementation PMCommandQueue
- (id)initWithDevice:(PMDevice *)device
{
    self = [super initWithDevice:device];
    if (!self) {
        return nil;
    }
    _serial = pm_serial_create();
    if (!_serial) {
        [self release];
        return nil;
    }
    return self;
}

/* Command buffers retain their queue until they have run, so no job is left. */
- (void)dealloc
{
    /* The thread, and perhaps a lock that it held, stayed in the parent process: there is nothing to end here. */
    if (_serial && ![_device isInherited]) {
        pm_serial_destroy(_serial);
    }
    [super dealloc];
}

- (struct pm_serial *)serial
{
    return _serial;
}

- (id<MTLCommandBuffer>)commandBuffer
{
    return [[[PMCommandBuffer alloc] initWithQueue:self device:_device] autorelease];
}
@end
