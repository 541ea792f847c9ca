#import "cases.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct test_case *cases;
static int failures;

void test_case_register(struct test_case *test)
{
    test->next = cases;
    cases = test;
}

int check_failures(void)
{
    return __atomic_load_n(&failures, __ATOMIC_RELAXED);
}

void check(bool holds, const char *file, int line, const char *text)
{
    if (!holds) {
        __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
    }
}

void check_equal(long actual, long expected, const char *file, int line, const char *text)
{
    if (actual != expected) {
        fprintf(stderr, "actual %ld, expected %ld\n", actual, expected);
    }
    check(actual == expected, file, line, text);
}

void check_text(const char *actual, const char *part, const char *file, int line, const char *text)
{
    const bool holds = part ? actual && strstr(actual, part) : !actual;
    if (!holds) {
        fprintf(stderr, "actual \"%s\", expected \"%s\"\n", actual ? actual : "(null)", part ? part : "(null)");
    }
    check(holds, file, line, text);
}

/* ---- Faults: the linker sends the library's calls here (--wrap) ---- */

static int threads_left = -1;
static __thread int allocations_left;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_realloc(void *memory, size_t size);
int __real_posix_memalign(void **memory, size_t alignment, size_t size);
int __wrap_posix_memalign(void **memory, size_t alignment, size_t size);

void limit_threads(int count)
{
    __atomic_store_n(&threads_left, count, __ATOMIC_RELAXED);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    if (__atomic_load_n(&threads_left, __ATOMIC_RELAXED) == 0) {
        return EAGAIN;
    }
    if (__atomic_load_n(&threads_left, __ATOMIC_RELAXED) > 0) {
        __atomic_fetch_sub(&threads_left, 1, __ATOMIC_RELAXED);
    }
    return __real_pthread_create(thread, attributes, run, argument);
}

bool fail_allocation(int count)
{
    const bool failed = allocations_left < 0;
    allocations_left = count;
    return failed;
}

/* Once it has failed, the count is negative. */
static bool allocation_fails(void)
{
    if (allocations_left == 1) {
        allocations_left = -1;
        return true;
    }
    if (allocations_left > 1) {
        --allocations_left;
    }
    return false;
}

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(memory, size);
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size)
{
    return allocation_fails() ? ENOMEM : __real_posix_memalign(memory, alignment, size);
}

/* ---- Shorthands ---- */

id<MTLDevice> the_device(void)
{
    return [MTLCreateSystemDefaultDevice() autorelease];
}

id<MTLBuffer> make_buffer(NSUInteger length)
{
    return [the_device() newBufferWithLength:length options:MTLResourceStorageModeShared];
}

id<MTLBuffer> make_float_buffer(const float *values, NSUInteger count)
{
    return [the_device() newBufferWithBytes:values length:count * sizeof *values options:MTLResourceStorageModeShared];
}

MTLTextureDescriptor *make_texture_descriptor(MTLPixelFormat format, NSUInteger width, NSUInteger height,
                                              NSUInteger slices)
{
    MTLTextureDescriptor *descriptor = [[MTLTextureDescriptor alloc] init];
    descriptor.textureType = MTLTextureType2DArray;
    descriptor.pixelFormat = format;
    descriptor.width = width;
    descriptor.height = height;
    descriptor.arrayLength = slices;
    descriptor.usage = MTLTextureUsageShaderRead | MTLTextureUsageShaderWrite;
    return descriptor;
}

id<MTLTexture> make_texture(MTLPixelFormat format, NSUInteger width, NSUInteger height, NSUInteger slices)
{
    MTLTextureDescriptor *descriptor = make_texture_descriptor(format, width, height, slices);
    id<MTLTexture> texture = [the_device() newTextureWithDescriptor:descriptor];
    [descriptor release];
    return texture;
}

id<MTLLibrary> make_library(const char *source)
{
    return [the_device() newLibraryWithSource:[NSString stringWithUTF8String:source] options:nil error:NULL];
}

id<MTLComputePipelineState> make_pipeline(const char *kernel)
{
    id<MTLLibrary> library = make_library(MAIN_SOURCE);
    id<MTLFunction> function = [library newFunctionWithName:[NSString stringWithUTF8String:kernel]];
    id<MTLComputePipelineState> pipeline = [the_device() newComputePipelineStateWithFunction:function error:NULL];
    [function release];
    [library release];
    return pipeline;
}

void dispatch_groups(id<MTLComputeCommandEncoder> encoder, NSUInteger groups)
{
    [encoder dispatchThreadgroups:MTLSizeMake(groups, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
}

const char *error_text(NSError *error)
{
    return error ? [[error localizedDescription] UTF8String] : NULL;
}

/* ---- The process ---- */

/* A queue's thread may still hold what it has finished with, so this gives it time. */
static bool reaches(NSUInteger (*count)(void), NSUInteger expected)
{
    for (int i = 0; i < 5000 && count() != expected; ++i) {
        usleep(1000);
    }
    if (count() != expected) {
        fprintf(stderr, "actual %lu, expected %lu\n", count(), expected);
    }
    return count() == expected;
}

static NSUInteger allocated_size(void)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    const NSUInteger size = [the_device() currentAllocatedSize];
    [pool drain];
    return size;
}

int main(int argc, char **argv)
{
    const struct test_case *test = cases;
    while (test && (argc != 2 || strcmp(test->name, argv[1]) != 0)) {
        test = test->next;
    }
    if (!test) {
        fprintf(stderr, "usage: %s CASE\n", argv[0]);
        return 2;
    }
    [MTLCreateSystemDefaultDevice() release];
    PortableMetalTakeViolation();
    const NSUInteger before = PortableMetalLiveObjects();
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    test->run();
    [pool drain];
    CHECK_VIOLATION(NULL);
    CHECK(reaches(allocated_size, 0));
    CHECK(reaches(PortableMetalLiveObjects, before));
    return check_failures() ? 1 : 0;
}
