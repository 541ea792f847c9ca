#import "command_buffer.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#import <Metal/PortableMetal.h>
#import "block.h"
#import "compute_encoder.h"
#import "copies.h"
#import "error.h"
#import "recorded_dispatch.h"
#import "thread.h"
#import "violation.h"

NSString *const MTLCommandBufferErrorDomain = @"MTLCommandBufferErrorDomain";

static CFTimeInterval now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (CFTimeInterval)time.tv_sec + 1e-9 * (CFTimeInterval)time.tv_nsec;
}

@interface PMCommandBuffer (Private)
- (void)failWithCode:(MTLCommandBufferError)code text:(const char *)text;
- (void)run;
@end

void pm_command_buffer_misuse(PMCommandBuffer *commandBuffer, const char *format, ...)
{
    char text[PM_MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if ([commandBuffer status] == MTLCommandBufferStatusNotEnqueued) {
        [commandBuffer failWithCode:MTLCommandBufferErrorInvalidResource text:text];
    } else {
        pm_report_violation("%s", text);
    }
}

static void run_job(struct pm_job *job)
{
    PMCommandBuffer *commandBuffer = ((struct pm_command_buffer_job *)job)->commandBuffer;
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    [commandBuffer run];
    [commandBuffer release];
    [pool drain];
}

@implementation PMCommandBuffer
- (id)initWithQueue:(PMCommandQueue *)queue device:(PMDevice *)device
{
    self = [super initWithDevice:device];
    if (!self) {
        return nil;
    }
    _queue = [queue retain];
    _job.job.run = run_job;
    _job.commandBuffer = self;
    _lastDispatch = &_firstDispatch;
    pthread_mutex_init(&_mutex, NULL);
    pthread_cond_init(&_finishedChanged, NULL);
    return self;
}

- (void)releaseRecording
{
    while (_firstDispatch) {
        struct pm_recorded_dispatch *next = _firstDispatch->next;
        free(_firstDispatch);
        _firstDispatch = next;
    }
    pm_copies_free(&_copies);
    while (_resourceCount > 0) {
        [_resources[--_resourceCount] release];
    }
    free(_resources);
    _resources = NULL;
}

- (void)releaseHandlers
{
    for (size_t i = 0; i < _handlerCount; ++i) {
        pm_block_release(_handlers[i]);
    }
    free(_handlers);
    _handlers = NULL;
    _handlerCount = 0;
}

- (void)dealloc
{
    [self releaseRecording];
    [self releaseHandlers];
    [_error release];
    [_queue release];
    pthread_cond_destroy(&_finishedChanged);
    pthread_mutex_destroy(&_mutex);
    [super dealloc];
}

/* ---- Properties ---- */

- (id<MTLCommandQueue>)commandQueue
{
    return _queue;
}

- (MTLCommandBufferStatus)status
{
    return __atomic_load_n(&_status, __ATOMIC_ACQUIRE);
}

- (NSError *)error
{
    return [self status] == MTLCommandBufferStatusError ? _error : nil;
}

- (CFTimeInterval)GPUStartTime
{
    return [self status] >= MTLCommandBufferStatusCompleted ? _startTime : 0;
}

- (CFTimeInterval)GPUEndTime
{
    return [self status] >= MTLCommandBufferStatusCompleted ? _endTime : 0;
}

/* ---- Failures ---- */

/* The first failure counts. */
- (void)failWithCode:(MTLCommandBufferError)code text:(const char *)text
{
    if (!_failed) {
        _failed = YES;
        _error = pm_new_error(MTLCommandBufferErrorDomain, code, text);
    }
}

- (void)failWithoutMemory
{
    [self failWithCode:MTLCommandBufferErrorOutOfMemory text:"no memory to record the commands"];
}

- (void)failToStart:(const char *)thread error:(int)error kernel:(const struct msl_kernel *)kernel
{
    char reason[128], text[PM_MESSAGE_SIZE];
    if (strerror_r(error, reason, sizeof reason) != 0) {
        snprintf(reason, sizeof reason, "error %d", error);
    }
    snprintf(text, sizeof text, "%s%s%scould not start %s: %s", kernel ? "kernel '" : "", kernel ? kernel->name : "",
             kernel ? "': " : "", thread, reason);
    [self failWithCode:MTLCommandBufferErrorInternal text:text];
}

/* ---- Recording ---- */

- (id<MTLComputeCommandEncoder>)computeCommandEncoder
{
    return [self computeCommandEncoderWithDispatchType:MTLDispatchTypeSerial];
}

- (id<MTLComputeCommandEncoder>)computeCommandEncoderWithDispatchType:(MTLDispatchType)dispatchType
{
    if ([self status] != MTLCommandBufferStatusNotEnqueued || _openEncoder) {
        pm_command_buffer_misuse(self, "computeCommandEncoder: %s",
                                 _openEncoder ? "the encoder before it has not ended; endEncoding comes first"
                                              : "the command buffer is already committed");
        return nil;
    }
    if (dispatchType > MTLDispatchTypeConcurrent) {
        pm_command_buffer_misuse(self, "computeCommandEncoderWithDispatchType: type %lu; serial (0) or concurrent (1) "
                                 "expected", dispatchType);
        return nil;
    }
    const BOOL isConcurrent = dispatchType == MTLDispatchTypeConcurrent;
    _openEncoder = [[PMComputeCommandEncoder alloc] initWithCommandBuffer:self device:_device concurrent:isConcurrent];
    return [_openEncoder autorelease];
}

- (void)encoderDidEnd
{
    _openEncoder = nil;
}

- (BOOL)keepResource:(id)resource
{
    if (_resourceCount == _resourceCapacity) {
        const size_t capacity = _resourceCapacity ? 2 * _resourceCapacity : 32;
        id *resources = realloc(_resources, capacity * sizeof *resources);
        if (!resources) {
            [self failWithoutMemory];
            return NO;
        }
        _resources = resources;
        _resourceCapacity = capacity;
    }
    _resources[_resourceCount++] = [resource retain];
    return YES;
}

- (void *)keepBytes:(const void *)bytes length:(size_t)length
{
    void *copy = pm_copies_add(&_copies, bytes, length);
    if (!copy) {
        [self failWithoutMemory];
    }
    return copy;
}

- (void)recordFunction:(PMFunction *)function dispatch:(const struct msl_dispatch *)dispatch overlaps:(BOOL)overlaps
{
    struct pm_recorded_dispatch *recorded = malloc(sizeof *recorded);
    if (!recorded) {
        [self failWithoutMemory];
        return;
    }
    /* Threads that meet need stacks, which threads of ours keep for the next time. */
    _needsOwnThread |= ![function twin] && [function kernel]->run_thread != NULL;
    recorded->next = NULL;
    recorded->overlaps = overlaps;
    recorded->kernel = [function kernel];
    recorded->twin = [function twin];
    recorded->constants = [function constantWords];
    recorded->dispatch = *dispatch;
    *_lastDispatch = recorded;
    _lastDispatch = &recorded->next;
}

- (void)addCompletedHandler:(MTLCommandBufferHandler)block
{
    if ([self status] != MTLCommandBufferStatusNotEnqueued || !block) {
        pm_command_buffer_misuse(self, "addCompletedHandler: %s",
                                 block ? "the command buffer is already committed" : "the block is NULL");
        return;
    }
    struct PortableMetalBlock **handlers = realloc(_handlers, (_handlerCount + 1) * sizeof *handlers);
    _handlers = handlers ? handlers : _handlers;
    struct PortableMetalBlock *copy = handlers ? pm_block_copy(block) : NULL;
    if (!copy) {
        [self failWithoutMemory];
        return;
    }
    _handlers[_handlerCount++] = copy;
    /* What handlers do must not depend on who waits. */
    _needsOwnThread = YES;
}

/* ---- Running ---- */

- (void)noteViolationOf:(const struct pm_recorded_dispatch *)recorded
{
    const char *violation = recorded->dispatch.violation, *problem = recorded->problem;
    if (violation || problem) {
        char text[PM_MESSAGE_SIZE];
        snprintf(text, sizeof text, "kernel '%s': %s", recorded->kernel->name, violation ? violation : problem);
        [self failWithCode:violation ? MTLCommandBufferErrorPageFault : MTLCommandBufferErrorInternal text:text];
    }
}

/* Runs a dispatch, and perhaps some that may overlap it. Returns the first that is left. */
- (struct pm_recorded_dispatch *)runFrom:(struct pm_recorded_dispatch *)first
{
    struct pm_recorded_dispatch *next;
    const int error = pm_run_recorded([_device team], first, &next);
    if (error) {
        [self failToStart:"the device's threads; a smaller MPSRNN_NUM_THREADS needs fewer" error:error
                   kernel:first->kernel];
    }
    for (const struct pm_recorded_dispatch *done = first; done != next && !_failed; done = done->next) {
        [self noteViolationOf:done];
    }
    return next;
}

/* Handlers find the resources released and the outcome known; whoever waits finds the handlers done. */
- (void)complete
{
    [self releaseRecording];
    _completer = pthread_self();
    __atomic_store_n(&_status, _failed ? MTLCommandBufferStatusError : MTLCommandBufferStatusCompleted,
                     __ATOMIC_RELEASE);
    for (size_t i = 0; i < _handlerCount; ++i) {
        _handlers[i]->invoke(_handlers[i], self);
    }
    [self releaseHandlers];
    pthread_mutex_lock(&_mutex);
    __atomic_store_n(&_finished, YES, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&_finishedChanged);
    pthread_mutex_unlock(&_mutex);
}

- (void)run
{
    __atomic_store_n(&_status, MTLCommandBufferStatusScheduled, __ATOMIC_RELEASE);
    _startTime = now();
    for (struct pm_recorded_dispatch *recorded = _firstDispatch; recorded && !_failed;) {
        recorded = [self runFrom:recorded];
    }
    _endTime = now();
    [self complete];
}

/* NO, and a failure noted, if nothing will run. */
- (BOOL)submitBeforeWaiting:(BOOL)willWait
{
    if ([_device isInherited]) {
        [self failWithCode:MTLCommandBufferErrorInternal
                      text:"the device belongs to the process that forked this one, and its threads stayed there: make "
                           "a new device with MTLCreateSystemDefaultDevice"];
        return NO;
    }
    [self retain];                      /* until run_job */
    const int error = pm_serial_submit([_queue serial], &_job.job, willWait && [self canBorrowThread]);
    if (error) {
        [self failToStart:"the queue's thread" error:error kernel:NULL];
        [self release];
    }
    return !error;
}

- (BOOL)canBorrowThread
{
    return !_needsOwnThread && pm_thread_can_be_borrowed();
}

- (void)commitBeforeWaiting:(BOOL)willWait
{
    if ([self status] != MTLCommandBufferStatusNotEnqueued) {
        pm_report_violation("commit: the command buffer is already committed");
        return;
    }
    if (_openEncoder) {
        pm_command_buffer_misuse(self, "commit: a command encoder is open; endEncoding comes first");
        [_openEncoder endEncoding];
    }
    /* A handler may release the caller's reference, the queue with it, before the submission has returned. */
    [self retain];
    __atomic_store_n(&_status, MTLCommandBufferStatusCommitted, __ATOMIC_RELEASE);
    if (![self submitBeforeWaiting:willWait]) {
        [self complete];
    }
    [self release];
}

- (void)commit
{
    [self commitBeforeWaiting:NO];
}

- (void)waitUntilCompleted
{
    const MTLCommandBufferStatus status = [self status];
    if (__atomic_load_n(&_finished, __ATOMIC_ACQUIRE)) {
        return;
    }
    if (status >= MTLCommandBufferStatusCompleted && pthread_equal(_completer, pthread_self())) {
        return;                         /* one of its own handlers asks */
    }
    if (status == MTLCommandBufferStatusNotEnqueued) {
        pm_report_violation("waitUntilCompleted: the command buffer is not committed");
    } else if (pm_serial_is_current([_queue serial])) {
        pm_report_violation("waitUntilCompleted: a completed handler waits for a command buffer of its own queue, "
                            "which runs after the handler");
    } else if ([_device isInherited]) {
        pm_report_violation("waitUntilCompleted: the command buffer runs in the process that forked this one");
    } else {
        [self finish];
    }
}

/* A handler may release the caller's reference before this returns. */
- (void)finish
{
    [self retain];
    if (![self canBorrowThread] || !pm_serial_run([_queue serial], &_job.job)) {
        pthread_mutex_lock(&_mutex);
        while (!__atomic_load_n(&_finished, __ATOMIC_RELAXED)) {
            pthread_cond_wait(&_finishedChanged, &_mutex);
        }
        pthread_mutex_unlock(&_mutex);
    }
    [self release];
}
@end

void PortableMetalCommitBeforeWaiting(id<MTLCommandBuffer> commandBuffer)
{
    [(PMCommandBuffer *)commandBuffer commitBeforeWaiting:YES];
}
