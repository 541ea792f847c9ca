/* The frame of the native tests: each CASE is a process, which fails if a CHECK did or if it leaves objects behind. */
#ifndef CASES_H
#define CASES_H
#import <Metal/Metal.h>
#import <Metal/PortableMetal.h>
#include <stdbool.h>
#include <stdio.h>

#define CASE(name)                                                                                                     \
    static void name(void);                                                                                            \
    __attribute__((constructor)) static void register_##name(void)                                                     \
    {                                                                                                                  \
        static struct test_case self = {#name, name, NULL};                                                            \
        test_case_register(&self);                                                                                     \
    }                                                                                                                  \
    static void name(void)

struct test_case {
    const char *name;
    void (*run)(void);
    struct test_case *next;
};

void test_case_register(struct test_case *test);
int check_failures(void);
void check(bool holds, const char *file, int line, const char *text);
void check_equal(long actual, long expected, const char *file, int line, const char *text);
void check_text(const char *actual, const char *part, const char *file, int line, const char *text);

#define CHECK(condition) check((condition), __FILE__, __LINE__, #condition)
#define CHECK_EQUAL(actual, expected) check_equal((long)(actual), (long)(expected), __FILE__, __LINE__, #actual)
/* `part` occurs in `actual`; a `part` of NULL expects NULL. */
#define CHECK_TEXT(actual, part) check_text((actual), (part), __FILE__, __LINE__, #actual)
#define CHECK_VIOLATION(part) CHECK_TEXT(PortableMetalTakeViolation(), part)

/* ---- Shorthands; what begins with `make` is owned by the caller ---- */

/* The libraries of programs.c. */
extern const char *const MAIN_SOURCE;
extern const char *const BASELINE_ONLY_SOURCE;

id<MTLDevice> the_device(void);
id<MTLBuffer> make_buffer(NSUInteger length);
id<MTLBuffer> make_float_buffer(const float *values, NSUInteger count);
MTLTextureDescriptor *make_texture_descriptor(MTLPixelFormat format, NSUInteger width, NSUInteger height,
                                              NSUInteger slices);
id<MTLTexture> make_texture(MTLPixelFormat format, NSUInteger width, NSUInteger height, NSUInteger slices);
id<MTLLibrary> make_library(const char *source);
id<MTLComputePipelineState> make_pipeline(const char *kernel);

/* Encodes one dispatch of `groups` threadgroups of one thread each. */
void dispatch_groups(id<MTLComputeCommandEncoder> encoder, NSUInteger groups);
const char *error_text(NSError *error);

/* Makes the next `count` threads, then fails; -1: never. */
void limit_threads(int count);
/* Lets this thread's `count`th allocation from now on fail; 0: none. Returns whether the last one asked for did. */
bool fail_allocation(int count);

#endif
