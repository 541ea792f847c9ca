#import "shim.h"
#import "platform.h"

@implementation MCYQueue
- (void)dealloc
{
    [metal release];
    [device release];
    [super dealloc];
}
@end

@implementation MCYCommand
- (id)init
{
    self = [super init];
    if (self) {
        pthread_mutex_init(&lock, NULL);
    }
    return self;
}

- (void)dealloc
{
    /* Metal insists that an encoder ends before it goes. */
    [encoder endEncoding];
    [encoder release];
    [metal release];
    [device release];
    pthread_mutex_destroy(&lock);
    [super dealloc];
}
@end

mpsrnn_status mcy_queue_create(mpsrnn_device handle, mpsrnn_queue *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYDevice *device = (MCYDevice *)handle;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    MCYQueue *queue = [[MCYQueue alloc] init];
    id<MTLCommandQueue> metal = [device->metal newCommandQueue];
    if (queue && metal) {
        queue->device = [device retain];
        queue->metal = metal;
        *out = (mpsrnn_queue)queue;
    } else {
        [queue release];
        [metal release];
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "the device could not make a command queue");
    }
    [pool drain];
    return status;
}

mpsrnn_status mcy_command_create(mpsrnn_queue handle, mpsrnn_command *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYQueue *queue = (MCYQueue *)handle;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    MCYCommand *command = [[MCYCommand alloc] init];
    id<MTLCommandBuffer> metal = [queue->metal commandBuffer];
    if (command && metal) {
        command->device = [queue->device retain];
        command->metal = [metal retain];
        *out = (mpsrnn_command)command;
    } else {
        [command release];
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "the queue could not make a command buffer");
    }
    [pool drain];
    return status;
}

static const mcy_block_descriptor completion_descriptor = { 0, sizeof(struct mcy_block), "v16@?0@8" };

static void complete(struct mcy_block *block, id<MTLCommandBuffer> buffer)
{
    (void)buffer;
    block->function(block->context);
}

mpsrnn_status mcy_command_add_completion(mpsrnn_command handle, mpsrnn_completion function, void *context,
                                         mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYCommand *command = (MCYCommand *)handle;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    pthread_mutex_lock(&command->lock);
    if (command->committed) {
        status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a completed handler was added after commit");
    } else {
        struct mcy_block block = {
            MCY_STACK_BLOCK_ISA, MCY_BLOCK_HAS_SIGNATURE, 0, (void (*)(void))complete, &completion_descriptor, function,
            context,
        };
        [command->metal addCompletedHandler:(MTLCommandBufferHandler)(void *)&block];
    }
    pthread_mutex_unlock(&command->lock);
    [pool drain];
    return status;
}

static void end_encoder(MCYCommand *command)
{
    [command->encoder endEncoding];
    [command->encoder release];
    command->encoder = nil;
}

static mpsrnn_status commit(MCYCommand *command, bool will_wait, mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    pthread_mutex_lock(&command->lock);
    if (command->committed) {
        status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer is already committed");
    } else {
        end_encoder(command);
        command->committed = YES;
        if (will_wait) {
            mcy_commit_before_waiting(command->metal);
        } else {
            [command->metal commit];
        }
    }
    pthread_mutex_unlock(&command->lock);
    return status;
}

mpsrnn_status mcy_command_commit(mpsrnn_command handle, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    const mpsrnn_status status = commit((MCYCommand *)handle, false, error);
    [pool drain];
    return status;
}

mpsrnn_status mcy_command_open_encoder(MCYCommand *command, MTLDispatchType type, mpsrnn_error *error)
{
    if (command->encoder && command->dispatch_type != type) {
        end_encoder(command);
    }
    if (!command->encoder) {
        command->encoder = [[command->metal computeCommandEncoderWithDispatchType:type] retain];
        command->dispatch_type = type;
    }
    return command->encoder ? MPSRNN_STATUS_OK
                            : mcy_fail(error, MPSRNN_STATUS_INTERNAL, "the command buffer made no encoder");
}

static NSUInteger ceil_divide(NSUInteger a, NSUInteger b)
{
    return (a + b - 1) / b;
}

void mcy_command_dispatch(MCYCommand *command, uint32_t width, uint32_t height, uint32_t depth)
{
    const MTLSize groups = MTLSizeMake(ceil_divide(width, MPSRNN_THREADGROUP_WIDTH),
                                       ceil_divide(height, MPSRNN_THREADGROUP_HEIGHT), depth);
    [command->encoder dispatchThreadgroups:groups
                     threadsPerThreadgroup:MTLSizeMake(MPSRNN_THREADGROUP_WIDTH, MPSRNN_THREADGROUP_HEIGHT, 1)];
    ++command->dispatch_count;
}

void mcy_command_dispatch_threadgroups(MCYCommand *command, uint32_t width, uint32_t height, uint32_t threads)
{
    [command->encoder dispatchThreadgroups:MTLSizeMake(width, height, 1)
                     threadsPerThreadgroup:MTLSizeMake(threads, 1, 1)];
    ++command->dispatch_count;
}

static const char *error_text(id<MTLCommandBuffer> metal)
{
    NSError *cause = [metal error];
    return cause ? [[cause localizedDescription] UTF8String] : "Metal gave no reason";
}

static mpsrnn_status wait_for(MCYCommand *command, mpsrnn_error *error)
{
    [command->metal waitUntilCompleted];
    return [command->metal status] == MTLCommandBufferStatusError
               ? mcy_fail(error, MPSRNN_STATUS_COMMAND_FAILED, "%s", error_text(command->metal))
               : MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_command_wait(mpsrnn_command handle, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYCommand *command = (MCYCommand *)handle;
    pthread_mutex_lock(&command->lock);
    const BOOL committed = command->committed;
    pthread_mutex_unlock(&command->lock);
    const mpsrnn_status status =
        committed ? wait_for(command, error)
                  : mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer was not committed");
    [pool drain];
    return status;
}

mpsrnn_status mcy_command_run(mpsrnn_command handle, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYCommand *command = (MCYCommand *)handle;
    mpsrnn_status status = commit(command, true, error);
    if (status == MPSRNN_STATUS_OK) {
        status = wait_for(command, error);
    }
    [pool drain];
    return status;
}

void mcy_command_get_info(mpsrnn_command handle, mpsrnn_command_info *info)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYCommand *command = (MCYCommand *)handle;
    pthread_mutex_lock(&command->lock);
    info->dispatch_count = command->dispatch_count;
    pthread_mutex_unlock(&command->lock);
    info->status = (uint32_t)[command->metal status];
    info->gpu_start_time = [command->metal GPUStartTime];
    info->gpu_end_time = [command->metal GPUEndTime];
    info->error.message[0] = 0;
    if (info->status == MTLCommandBufferStatusError) {
        mcy_fail(&info->error, MPSRNN_STATUS_COMMAND_FAILED, "%s", error_text(command->metal));
    }
    [pool drain];
}
