#ifndef PM_LIBRARY_H
#define PM_LIBRARY_H
#import "device.h"
#include "msl_program.h"

@interface PMLibrary : PMDeviceObject <MTLLibrary> {
    const struct msl_library *_library;
}
- (id)initWithDevice:(PMDevice *)device source:(NSString *)source error:(NSError **)error;
@end

#endif
