#ifndef PM_BUFFER_H
#define PM_BUFFER_H
#import "device.h"

@interface PMBuffer : PMDeviceObject <MTLBuffer> {
    void *_storage;
    NSUInteger _length;
    MTLStorageMode _storageMode;
}
- (id)initWithDevice:(PMDevice *)device length:(NSUInteger)length options:(MTLResourceOptions)options;

/* The memory, of private buffers too. */
- (void *)storage;
@end

#endif
