#import "pipeline.h"
#import "error.h"
#import <Metal/PortableMetal.h>

BOOL PortableMetalHasTwin(id<MTLComputePipelineState> pipeline)
{
    return [[(PMComputePipelineState *)pipeline function] twin] != NULL;
}

@implementation PMComputePipelineState
- (id)initWithDevice:(PMDevice *)device function:(PMFunction *)function error:(NSError **)error
{
    self = [super initWithDevice:device];
    if (self && !function) {
        pm_set_error(error, MTLLibraryErrorDomain, MTLLibraryErrorFunctionNotFound,
                     "newComputePipelineStateWithFunction: the function is nil");
        [self release];
        return nil;
    }
    _function = [function retain];
    return self;
}

- (void)dealloc
{
    [_function release];
    [super dealloc];
}

- (PMFunction *)function
{
    return _function;
}

- (NSString *)label
{
    return [_function label];
}

- (NSUInteger)maxTotalThreadsPerThreadgroup
{
    return PM_MAX_THREADS_PER_THREADGROUP;
}

- (NSUInteger)threadExecutionWidth
{
    return PM_THREAD_EXECUTION_WIDTH;
}

- (NSUInteger)staticThreadgroupMemoryLength
{
    return [_function kernel]->memory_size;
}
@end
