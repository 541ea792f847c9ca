#ifndef PM_COMMAND_BUFFER_H
#define PM_COMMAND_BUFFER_H
#import "command_queue.h"
#import "function.h"
#include <pthread.h>
#include "msl_program.h"

@class PMCommandBuffer, PMComputeCommandEncoder;
struct pm_copies;

struct pm_command_buffer_job {
    struct pm_job job;
    PMCommandBuffer *commandBuffer;
};

/* Recorded by one thread, until commit; then run by the queue's thread, or by one that waits for it. */
@interface PMCommandBuffer : PMDeviceObject <MTLCommandBuffer> {
    PMCommandQueue *_queue;
    struct pm_command_buffer_job _job;

    /* The recording. */
    PMComputeCommandEncoder *_openEncoder;          /* not retained: the encoder retains its command buffer */
    struct pm_recorded_dispatch *_firstDispatch, **_lastDispatch;
    struct pm_copies *_copies;
    id *_resources;
    size_t _resourceCount, _resourceCapacity;
    struct PortableMetalBlock **_handlers;
    size_t _handlerCount;
    BOOL _needsOwnThread;                           /* what waits for it does not run it */

    /* The outcome. */
    BOOL _failed;
    NSError *_error;
    NSUInteger _status;                             /* atomic; what comes before is written before it changes */
    CFTimeInterval _startTime, _endTime;
    pthread_t _completer;                           /* the thread that calls the handlers */

    pthread_mutex_t _mutex;
    pthread_cond_t _finishedChanged;
    BOOL _finished;                                 /* atomic: the handlers have returned */
}
/* As PortableMetalCommitBeforeWaiting, or as commit. */
- (void)commitBeforeWaiting:(BOOL)willWait;
- (id)initWithQueue:(PMCommandQueue *)queue device:(PMDevice *)device;

/* For the encoder, before commit. Each of them fails the command buffer if there is no memory. */

/* Retains `resource` until the commands have run. */
- (BOOL)keepResource:(id)resource;
/* A copy that lives until the commands have run; NULL without memory. */
- (void *)keepBytes:(const void *)bytes length:(size_t)length;
- (void)recordFunction:(PMFunction *)function dispatch:(const struct msl_dispatch *)dispatch
              overlaps:(BOOL)overlaps;      /* the dispatch before it, which may still run */
- (void)encoderDidEnd;
@end

/* Notes a misuse: the command buffer will fail with the first one, and none of its commands will run. Once it is
 * committed its fate is not the caller's any more, and the message goes to PortableMetalTakeViolation(). */
void pm_command_buffer_misuse(PMCommandBuffer *commandBuffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
