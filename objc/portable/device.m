#define _GNU_SOURCE
#import "device.h"
#import <Metal/PortableMetal.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#import "buffer.h"
#import "command_queue.h"
#import "library.h"
#import "pipeline.h"
#import "texture.h"
#import "variant.h"
#import "violation.h"
#include "msl_program.h"

_Static_assert(PORTABLE_METAL_MAX_THREADS == PM_TEAM_MAX_THREADS, "the public limit is the team's");

@implementation PMDeviceObject
- (id)initWithDevice:(PMDevice *)device
{
    _device = [device retain];
    return self;
}

- (void)dealloc
{
    [_label release];
    [_device release];
    [super dealloc];
}

- (id<MTLDevice>)device
{
    return _device;
}

- (NSString *)label
{
    return _label;
}

- (void)setLabel:(NSString *)label
{
    NSString *previous = _label;
    _label = [label copy];
    [previous release];
}
@end

@implementation PMDevice
- (id)initWithThreadCount:(size_t)threadCount
{
    _process = getpid();
    _memorySize = (NSUInteger)sysconf(_SC_PHYS_PAGES) * (NSUInteger)sysconf(_SC_PAGESIZE);
    _team = pm_team_create(threadCount);
    _storage = pm_storage_create();
    if (!_team || !_storage) {
        [self release];
        return nil;
    }
    return self;
}

- (void)dealloc
{
    if (_team) {
        pm_team_destroy(_team);
    }
    if (_storage) {
        pm_storage_destroy(_storage);
    }
    [super dealloc];
}

- (struct pm_team *)team
{
    return _team;
}

- (BOOL)isInherited
{
    return getpid() != _process;
}

- (void *)allocateStorage:(NSUInteger)length isCleared:(BOOL)isCleared
{
    /* Touching more memory than there is would end the process, so all storage together must fit. */
    const NSUInteger before = __atomic_fetch_add(&_allocatedSize, length, __ATOMIC_RELAXED);
    void *storage = NULL;
    if (length <= _memorySize && before <= _memorySize - length) {
        storage = pm_storage_take(_storage, length, isCleared);
    }
    if (!storage) {
        __atomic_fetch_sub(&_allocatedSize, length, __ATOMIC_RELAXED);
    }
    return storage;
}

- (void)freeStorage:(void *)storage length:(NSUInteger)length
{
    pm_storage_give(_storage, storage, length);
    __atomic_fetch_sub(&_allocatedSize, length, __ATOMIC_RELAXED);
}

- (NSString *)name
{
    char name[64], problem[PM_MESSAGE_SIZE];
    enum pm_variant variant;
    if (pm_variant_choose(&variant, problem, sizeof problem)) {
        snprintf(name, sizeof name, "Portable Metal (CPU, %s)", pm_variant_name(variant));
    } else {
        snprintf(name, sizeof name, "Portable Metal (CPU)");
    }
    return [NSString stringWithUTF8String:name];
}

- (uint64_t)registryID
{
    return 1;
}

- (BOOL)hasUnifiedMemory
{
    return YES;
}

- (MTLSize)maxThreadsPerThreadgroup
{
    return MTLSizeMake(PM_MAX_THREADS_PER_THREADGROUP, PM_MAX_THREADS_PER_THREADGROUP, PM_MAX_THREADS_PER_THREADGROUP);
}

- (NSUInteger)maxThreadgroupMemoryLength
{
    return MSL_THREADGROUP_MEMORY;
}

- (NSUInteger)maxBufferLength
{
    return _memorySize;
}

- (NSUInteger)currentAllocatedSize
{
    return __atomic_load_n(&_allocatedSize, __ATOMIC_RELAXED);
}

- (id<MTLCommandQueue>)newCommandQueue
{
    return [[PMCommandQueue alloc] initWithDevice:self];
}

- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options
{
    return [[PMBuffer alloc] initWithDevice:self length:length options:options];
}

- (id<MTLBuffer>)newBufferWithBytes:(const void *)pointer
                             length:(NSUInteger)length
                            options:(MTLResourceOptions)options
{
    PMBuffer *buffer = [[PMBuffer alloc] initWithDevice:self length:length options:options];
    if (buffer && (!pointer || ![buffer contents])) {
        pm_report_violation("newBufferWithBytes:length:options: %s",
                            pointer ? "a private buffer has no bytes that the CPU may set" : "the pointer is NULL");
        [buffer release];
        return nil;
    }
    if (buffer) {
        memcpy([buffer contents], pointer, length);
    }
    return buffer;
}

- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)pointer
                                   length:(NSUInteger)length
                                  options:(MTLResourceOptions)options
                              deallocator:(struct PortableMetalBlock *)deallocator
{
    return [[PMBuffer alloc] initWithDevice:self bytes:pointer length:length options:options deallocator:deallocator];
}

- (id<MTLTexture>)newTextureWithDescriptor:(MTLTextureDescriptor *)descriptor
{
    return [[PMTexture alloc] initWithDevice:self descriptor:descriptor];
}

- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source
                               options:(MTLCompileOptions *)options
                                 error:(NSError **)error
{
    (void)options;
    return [[PMLibrary alloc] initWithDevice:self source:source error:error];
}

- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)computeFunction
                                                             error:(NSError **)error
{
    return [[PMComputePipelineState alloc] initWithDevice:self function:(PMFunction *)computeFunction error:error];
}
@end

/* ---- The process' device ---- */

static size_t usable_processor_count(void)
{
    cpu_set_t processors;
    /* Fails where the machine has more processors than a cpu_set_t has bits. */
    const int known = sched_getaffinity(0, sizeof processors, &processors) == 0;
    const long count = known ? CPU_COUNT(&processors) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > PM_TEAM_MAX_THREADS ? PM_TEAM_MAX_THREADS : (size_t)count;
}

/* 0, and a violation, if the environment holds something else than a number of threads. */
static size_t default_thread_count(void)
{
    const char *text = getenv("MPSRNN_NUM_THREADS");
    if (!text || !*text) {
        return usable_processor_count();
    }
    char *end;
    const long count = strtol(text, &end, 10);
    if (*end || count < 1 || count > PM_TEAM_MAX_THREADS) {
        pm_report_violation("MPSRNN_NUM_THREADS is '%s'; a number from 1 to %d expected", text, PM_TEAM_MAX_THREADS);
        return 0;
    }
    return (size_t)count;
}

/* Owns its device for ever. Changed without a lock: one that the parent held at fork() would stay locked here. */
static void *shared_device;

id<MTLDevice> MTLCreateSystemDefaultDevice(void)
{
    void *device = __atomic_load_n(&shared_device, __ATOMIC_ACQUIRE);
    if (device && ![(PMDevice *)device isInherited]) {
        return [(PMDevice *)device retain];
    }
    const size_t threadCount = default_thread_count();
    PMDevice *fresh = threadCount ? [[PMDevice alloc] initWithThreadCount:threadCount] : nil;
    if (!fresh) {
        return nil;
    }
    if (__atomic_compare_exchange_n(&shared_device, &device, (void *)fresh, NO, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        return [fresh retain];
    }
    /* Another thread was faster. */
    [fresh release];
    return [(PMDevice *)device retain];
}

NSArray *MTLCopyAllDevices(void)
{
    id device = MTLCreateSystemDefaultDevice();
    NSArray *devices = [[NSArray alloc] initWithObjects:&device count:device ? 1 : 0];
    [device release];
    return devices;
}

NSUInteger PortableMetalThreadCount(id<MTLDevice> device)
{
    return pm_team_thread_count([(PMDevice *)device team]);
}

BOOL PortableMetalSetThreadCount(id<MTLDevice> device, NSUInteger count)
{
    if (count < 1 || count > PM_TEAM_MAX_THREADS) {
        pm_report_violation("thread count %lu; 1 to %d expected", count, PM_TEAM_MAX_THREADS);
        return NO;
    }
    pm_team_set_thread_count([(PMDevice *)device team], count);
    return YES;
}
