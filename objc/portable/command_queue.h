#ifndef PM_COMMAND_QUEUE_H
#define PM_COMMAND_QUEUE_H
#import "device.h"
#include "serial.h"

@interface PMCommandQueue : PMDeviceObject <MTLCommandQueue> {
    struct pm_serial *_serial;
}
/* The thread that runs the queue's command buffers. */
- (struct pm_serial *)serial;
@end

#endif
