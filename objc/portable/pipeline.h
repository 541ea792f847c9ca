#ifndef PM_PIPELINE_H
#define PM_PIPELINE_H
#import "function.h"

enum { PM_MAX_THREADS_PER_THREADGROUP = 1024, PM_THREAD_EXECUTION_WIDTH = 32 };

@interface PMComputePipelineState : PMDeviceObject <MTLComputePipelineState> {
    PMFunction *_function;
}
- (id)initWithDevice:(PMDevice *)device function:(PMFunction *)function error:(NSError **)error;
- (PMFunction *)function;
@end

#endif
