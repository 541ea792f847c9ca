/* The device and its buffers. */
#import "cases.h"
#include <stdlib.h>
#include <string.h>

CASE(one_device_per_process)
{
    id<MTLDevice> device = MTLCreateSystemDefaultDevice(), again = MTLCreateSystemDefaultDevice();
    CHECK(device && device == again);
    const NSUInteger references = [device retainCount];
    [again release];
    CHECK_EQUAL([device retainCount], references - 1);
    NSArray *devices = MTLCopyAllDevices();
    CHECK_EQUAL([devices count], 1);
    CHECK([devices objectAtIndex:0] == device);
    [devices release];
    [device release];
}

CASE(device_describes_itself)
{
    id<MTLDevice> device = the_device();
    setenv("MPSRNN_VALIDATION", "0", 1);
    setenv("MPSRNN_ISA", "baseline", 1);
    CHECK_TEXT([device.name UTF8String], "Portable Metal (CPU, baseline)");
    setenv("MPSRNN_VALIDATION", "1", 1);
    CHECK_TEXT([device.name UTF8String], "Portable Metal (CPU, checked)");
    CHECK(device.registryID != 0);
    CHECK(device.hasUnifiedMemory);
    const MTLSize threads = device.maxThreadsPerThreadgroup;
    CHECK(threads.width == 1024 && threads.height == 1024 && threads.depth == 1024);
    CHECK(device.maxBufferLength > 1 << 20);
    CHECK_EQUAL(device.currentAllocatedSize, 0);
}

CASE(thread_count_is_settable)
{
    id<MTLDevice> device = the_device();
    CHECK(PortableMetalThreadCount(device) >= 1);
    CHECK(PortableMetalSetThreadCount(device, PORTABLE_METAL_MAX_THREADS));
    CHECK_EQUAL(PortableMetalThreadCount(device), PORTABLE_METAL_MAX_THREADS);
    CHECK(!PortableMetalSetThreadCount(device, 0));
    CHECK_VIOLATION("thread count 0; 1 to 256 expected");
    CHECK(!PortableMetalSetThreadCount(device, PORTABLE_METAL_MAX_THREADS + 1));
    CHECK_VIOLATION("thread count 257");
    CHECK_EQUAL(PortableMetalThreadCount(device), PORTABLE_METAL_MAX_THREADS);
}

/* The environment of this case says 3. */
CASE(thread_count_comes_from_the_environment)
{
    CHECK_EQUAL(PortableMetalThreadCount(the_device()), 3);
}

/* The environment of these cases holds something else than a number of threads. */
static void expect_no_device(void)
{
    CHECK(!MTLCreateSystemDefaultDevice());
    CHECK_VIOLATION("MPSRNN_NUM_THREADS is '");
    NSArray *devices = MTLCopyAllDevices();
    CHECK_EQUAL([devices count], 0);
    CHECK_VIOLATION("a number from 1 to 256 expected");
    [devices release];
    setenv("MPSRNN_NUM_THREADS", "2", 1);
    CHECK_EQUAL(PortableMetalThreadCount(the_device()), 2);
    exit(0);
}

CASE(no_device_for_words_as_thread_count)
{
    expect_no_device();
}

CASE(no_device_for_zero_threads)
{
    expect_no_device();
}

CASE(no_device_for_too_many_threads)
{
    expect_no_device();
}

CASE(buffers_are_zeroed_aligned_and_counted)
{
    id<MTLDevice> device = the_device();
    NSUInteger total = 0;
    static const NSUInteger lengths[] = {1, 63, 64, 65, 4097, 1 << 20};
    id<MTLBuffer> buffers[6];
    for (int i = 0; i < 6; ++i) {
        buffers[i] = make_buffer(lengths[i]);
        const unsigned char *contents = [buffers[i] contents];
        CHECK_EQUAL(buffers[i].length, lengths[i]);
        CHECK_EQUAL((uintptr_t)contents % 64, 0);
        NSUInteger zeros = 0;
        while (zeros < lengths[i] && contents[zeros] == 0) {
            ++zeros;
        }
        CHECK_EQUAL(zeros, lengths[i]);
        total += lengths[i];
        CHECK_EQUAL(device.currentAllocatedSize, total);
    }
    CHECK(buffers[0].device == device);
    CHECK_EQUAL(buffers[0].allocatedSize, 1);
    CHECK_EQUAL(buffers[0].storageMode, MTLStorageModeShared);
    CHECK(!buffers[0].label);
    buffers[0].label = @"weights";
    CHECK_TEXT([buffers[0].label UTF8String], "weights");
    for (int i = 0; i < 6; ++i) {
        [buffers[i] release];
        total -= lengths[i];
        CHECK_EQUAL(device.currentAllocatedSize, total);
    }
}

CASE(buffers_copy_bytes)
{
    float values[] = {1, 2, 3};
    id<MTLBuffer> buffer = make_float_buffer(values, 3);
    values[0] = 9;
    CHECK_EQUAL(((float *)[buffer contents])[0], 1);
    CHECK_EQUAL(((float *)[buffer contents])[2], 3);
    [buffer release];
}

CASE(private_buffers_hide_their_contents)
{
    id<MTLBuffer> buffer = [the_device() newBufferWithLength:16 options:MTLResourceStorageModePrivate];
    CHECK_EQUAL(buffer.storageMode, MTLStorageModePrivate);
    CHECK(![buffer contents]);
    CHECK_EQUAL(buffer.length, 16);
    [buffer release];
    CHECK(![the_device() newBufferWithBytes:"abc" length:3 options:MTLResourceStorageModePrivate]);
    CHECK_VIOLATION("a private buffer has no bytes that the CPU may set");
}

CASE(impossible_buffers_are_nil)
{
    id<MTLDevice> device = the_device();
    CHECK(!make_buffer(0));
    CHECK_VIOLATION("length 0; 1 to ");
    static const NSUInteger beyond[] = {NSUIntegerMax, NSUIntegerMax - 63, 1UL << 63, 1UL << 62};
    for (int i = 0; i < 4; ++i) {
        CHECK(!make_buffer(beyond[i]));
        CHECK_VIOLATION("new buffer: length ");
    }
    /* Each alone would fit; both together are more than there is. */
    id<MTLBuffer> one = make_buffer(4096);
    CHECK(!make_buffer(device.maxBufferLength));
    CHECK_VIOLATION("no memory for");
    CHECK_EQUAL(device.currentAllocatedSize, 4096);
    [one release];
    CHECK(![device newBufferWithLength:4 options:MTLResourceStorageModeMemoryless]);
    CHECK_VIOLATION("storage mode 3; shared, managed or private expected");
    CHECK(![device newBufferWithBytes:NULL length:4 options:0]);
    CHECK_VIOLATION("the pointer is NULL");
}

/* A deallocator, made by hand, and what it was told. */
struct deallocator {
    struct PortableMetalBlock block;
    struct {
        int calls;
        void *pointer;
        NSUInteger length;
    } *record;
};

static void deallocate(struct PortableMetalBlock *block, void *pointer, NSUInteger length)
{
    const struct deallocator *deallocator = (const struct deallocator *)block;
    ++deallocator->record->calls;
    deallocator->record->pointer = pointer;
    deallocator->record->length = length;
}

CASE(buffers_without_a_copy_give_the_memory_back)
{
    enum { LENGTH = 100 };
    static const struct {
        unsigned long reserved, size;
    } descriptor = {0, sizeof(struct deallocator)};
    __typeof__(*((struct deallocator *)NULL)->record) record = {0, NULL, 0};
    struct deallocator deallocator = {
        {.descriptor = (const void *)&descriptor},
        &record,
    };
    const PortableMetalDeallocator invoke = deallocate;
    memcpy(&deallocator.block.invoke, &invoke, sizeof invoke);
    _Alignas(16) static char bytes[LENGTH + 16] = "abc";
    id<MTLDevice> device = the_device();
    id<MTLBuffer> buffer = [device newBufferWithBytesNoCopy:bytes + 16 length:LENGTH options:0
                                                deallocator:&deallocator.block];
    CHECK([buffer contents] == bytes + 16 && buffer.gpuAddress == (uintptr_t)(bytes + 16));
    CHECK_EQUAL(buffer.length, LENGTH);
    CHECK_EQUAL(device.currentAllocatedSize, 0);
    CHECK_EQUAL(record.calls, 0);
    memset(&deallocator.block, 0xAA, sizeof deallocator.block);
    [buffer release];
    CHECK_EQUAL(record.calls, 1);
    CHECK(record.pointer == bytes + 16 && record.length == LENGTH);
    buffer = [device newBufferWithBytesNoCopy:bytes length:1 options:MTLResourceStorageModeManaged deallocator:NULL];
    CHECK_EQUAL(*(char *)[buffer contents], 'a');
    [buffer release];
}

CASE(refused_buffers_without_a_copy_give_nothing_back)
{
    _Alignas(16) static char bytes[64];
    id<MTLDevice> device = the_device();
    struct PortableMetalBlock block = {NULL, 0, 0, NULL, NULL};     /* to be called is to crash */
    CHECK(![device newBufferWithBytesNoCopy:bytes + 8 length:8 options:0 deallocator:&block]);
    CHECK_VIOLATION("a multiple of 16 expected");
    CHECK(![device newBufferWithBytesNoCopy:NULL length:8 options:0 deallocator:&block]);
    CHECK_VIOLATION("a multiple of 16 expected");
    CHECK(![device newBufferWithBytesNoCopy:bytes length:0 options:0 deallocator:&block]);
    CHECK_VIOLATION("length 0; 1 to");
    CHECK(![device newBufferWithBytesNoCopy:bytes length:8 options:MTLResourceStorageModePrivate deallocator:&block]);
    CHECK_VIOLATION("storage mode 2; shared or managed expected");
}
