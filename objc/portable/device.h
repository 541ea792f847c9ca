/* The device, and what every object that it makes has in common. */
#ifndef PM_DEVICE_H
#define PM_DEVICE_H
#import <Metal/Metal.h>
#include <sys/types.h>
#include "storage.h"
#include "team.h"

@interface PMDevice : NSObject <MTLDevice> {
    struct pm_team *_team;
    struct pm_storage *_storage;
    pid_t _process;
    NSUInteger _memorySize;
    NSUInteger _allocatedSize;
}
- (id)initWithThreadCount:(size_t)threadCount;
- (struct pm_team *)team;

/* YES in a child of the process that made the device: the threads are the parent's, memory is still good. */
- (BOOL)isInherited;

/* Memory for a buffer or texture, as pm_storage_take. NULL if there is not that much. */
- (void *)allocateStorage:(NSUInteger)length isCleared:(BOOL)isCleared;
- (void)freeStorage:(void *)storage length:(NSUInteger)length;
@end

/* An object that belongs to a device and can carry a label. */
@interface PMDeviceObject : NSObject {
    PMDevice *_device;
    NSString *_label;
}
@property (nonatomic, readonly) id<MTLDevice> device;
@property (nonatomic, copy) NSString *label;
- (id)initWithDevice:(PMDevice *)device;
@end

#endif
