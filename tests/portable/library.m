/* Libraries, functions, function constants, and which build of a kernel runs. */
#import "cases.h"
#include <stdlib.h>

static id<MTLFunction> make_function(const char *source, const char *name, MTLFunctionConstantValues *values,
                                     NSError **error)
{
    id<MTLLibrary> library = make_library(source);
    id<MTLFunction> function = [library newFunctionWithName:[NSString stringWithUTF8String:name]
                                             constantValues:values
                                                      error:error];
    [library release];
    return function;
}

static void expect_no_function(const char *source, const char *name, MTLFunctionConstantValues *values,
                               NSUInteger code, const char *message)
{
    NSError *error = nil;
    CHECK(!make_function(source, name, values, &error));
    CHECK_TEXT(error_text(error), message);
    CHECK_TEXT([[error domain] UTF8String], "MTLLibraryErrorDomain");
    CHECK([[error domain] isEqualToString:MTLLibraryErrorDomain]);
    CHECK_EQUAL([error code], code);
    CHECK(!make_function(source, name, values, NULL));
}

/* Runs a kernel of buffer 0, and buffer 1 if there is one. */
static NSError *run_function(id<MTLFunction> function, id<MTLBuffer> output, id<MTLBuffer> extra, NSUInteger groups)
{
    id<MTLComputePipelineState> pipeline = [the_device() newComputePipelineStateWithFunction:function error:NULL];
    id<MTLCommandQueue> queue = [the_device() newCommandQueue];
    id<MTLCommandBuffer> buffer = [queue commandBuffer];
    id<MTLComputeCommandEncoder> encoder = [buffer computeCommandEncoder];
    [encoder setComputePipelineState:pipeline];
    [encoder setBuffer:output offset:0 atIndex:0];
    [encoder setBuffer:extra offset:0 atIndex:1];
    dispatch_groups(encoder, groups);
    [encoder endEncoding];
    [buffer commit];
    [buffer waitUntilCompleted];
    [pipeline release];
    [queue release];
    return [buffer error];
}

CASE(library_is_found_by_its_source)
{
    NSError *error = nil;
    id<MTLLibrary> library = make_library(MAIN_SOURCE);
    CHECK(library.device == the_device());
    CHECK_EQUAL([library.functionNames count], 15);
    CHECK_TEXT([[library.functionNames objectAtIndex:0] UTF8String], "saxpy");
    library.label = @"kernels";
    CHECK_TEXT([library.label UTF8String], "kernels");
    [library release];
    MTLCompileOptions *options = [[[MTLCompileOptions alloc] init] autorelease];
    CHECK(options.fastMathEnabled);
    options.fastMathEnabled = NO;
    CHECK(!options.fastMathEnabled);
    options.languageVersion = MTLLanguageVersion2_3;
    CHECK(options.languageVersion == MTLLanguageVersion2_3);
    CHECK(![the_device() newLibraryWithSource:@"// the main library" options:options error:&error]);
    CHECK_TEXT(error_text(error), "is none that was built with the package");
    CHECK_EQUAL([error code], MTLLibraryErrorCompileFailure);
    CHECK([[error domain] isEqualToString:MTLLibraryErrorDomain]);
    CHECK(![the_device() newLibraryWithSource:nil options:nil error:NULL]);
}

CASE(functions_are_found_by_name)
{
    id<MTLFunction> function = make_function(MAIN_SOURCE, "saxpy", nil, NULL);
    CHECK_TEXT([function.name UTF8String], "saxpy");
    CHECK(function.device == the_device());
    NSError *error = nil;
    id<MTLComputePipelineState> pipeline = [the_device() newComputePipelineStateWithFunction:function error:&error];
    CHECK(!error);
    CHECK_EQUAL(pipeline.maxTotalThreadsPerThreadgroup, 1024);
    CHECK_EQUAL(pipeline.threadExecutionWidth, 32);
    CHECK(pipeline.device == the_device());
    CHECK(!pipeline.label);
    [pipeline release];
    [function release];
    expect_no_function(MAIN_SOURCE, "sxapy", nil, MTLLibraryErrorFunctionNotFound, "the library has no kernel 'sxapy'");
    CHECK(![the_device() newComputePipelineStateWithFunction:nil error:&error]);
    CHECK_TEXT(error_text(error), "the function is nil");
    CHECK(![the_device() newComputePipelineStateWithFunction:nil error:NULL]);
    id<MTLLibrary> library = make_library(MAIN_SOURCE);
    CHECK(![library newFunctionWithName:@"sxapy"]);
    CHECK_VIOLATION("the library has no kernel 'sxapy'");
    CHECK(![library newFunctionWithName:nil]);
    CHECK_VIOLATION("(nil)");
    [library release];
}

static MTLFunctionConstantValues *constant_values(bool hasExtra)
{
    MTLFunctionConstantValues *values = [[[MTLFunctionConstantValues alloc] init] autorelease];
    const float scale = 2.5f;
    const int32_t shift = -3;
    const uint32_t mode = 17;
    [values setConstantValue:&hasExtra type:MTLDataTypeBool atIndex:0];
    [values setConstantValue:&scale type:MTLDataTypeFloat atIndex:7];
    [values setConstantValue:&shift type:MTLDataTypeInt atIndex:8];
    [values setConstantValue:&mode type:MTLDataTypeUInt atIndex:30];
    return values;
}

CASE(constants_reach_the_kernel)
{
    setenv("MPSRNN_ISA", "baseline", 1);
    MTLFunctionConstantValues *values = constant_values(false);
    const float unused = 1, scale = 0.5f;
    [values setConstantValue:&unused type:MTLDataTypeFloat atIndex:65535];
    id<MTLFunction> first = make_function(BASELINE_ONLY_SOURCE, "write_constants", values, NULL);
    [values setConstantValue:&scale type:MTLDataTypeFloat atIndex:7];
    const unsigned char two = 2;        /* true, and the kernel must see 1 */
    [values setConstantValue:&two type:MTLDataTypeBool atIndex:0];
    MTLFunctionConstantValues *copy = [[values copy] autorelease];
    [values reset];
    expect_no_function(BASELINE_ONLY_SOURCE, "write_constants", values, MTLLibraryErrorCompileFailure, "has no value");
    id<MTLFunction> second = make_function(BASELINE_ONLY_SOURCE, "write_constants", copy, NULL);
    id<MTLBuffer> output = make_buffer(20), extra = make_buffer(4);
    const float *written = [output contents];
    CHECK(!run_function(first, output, nil, 1));
    CHECK(written[0] == 0 && written[1] == 2.5f && written[2] == -3 && written[3] == 17 && written[4] == 0);
    CHECK(!run_function(second, output, extra, 1));
    CHECK(written[0] == 1 && written[1] == 0.5f && written[2] == -3 && written[3] == 17 && written[4] == 1);
    /* The argument exists now, and with it the duty to bind it. */
    CHECK_TEXT(error_text(run_function(second, output, nil, 1)), "buffer 1 ('extra') is not bound");
    [first release];
    [second release];
    [output release];
    [extra release];
}

CASE(wrong_constants_are_named)
{
    setenv("MPSRNN_ISA", "baseline", 1);
    MTLFunctionConstantValues *values = [[[MTLFunctionConstantValues alloc] init] autorelease];
    const uint32_t word = 1;
    expect_no_function(BASELINE_ONLY_SOURCE, "write_constants", nil, MTLLibraryErrorCompileFailure,
                       "function constant 'has_extra' (index 0, bool) has no value");
    [values setConstantValue:&word type:MTLDataTypeBool atIndex:0];
    expect_no_function(BASELINE_ONLY_SOURCE, "write_constants", values, MTLLibraryErrorCompileFailure,
                       "function constant 'scale' (index 7, float) has no value");
    values = constant_values(true);
    [values setConstantValue:&word type:MTLDataTypeInt atIndex:30];
    expect_no_function(BASELINE_ONLY_SOURCE, "write_constants", values, MTLLibraryErrorCompileFailure,
                       "function constant 'mode' (index 30) is a uint; its value was set as a int");
    [values setConstantValue:&word type:99 atIndex:1];
    CHECK_VIOLATION("not a type of ours (type 99, index 1); a bool, float, int or uint expected");
    [values setConstantValue:NULL type:MTLDataTypeInt atIndex:1];
    CHECK_VIOLATION("the value is NULL");
}

static uint32_t variant_that_runs(void)
{
    id<MTLFunction> function = make_function(MAIN_SOURCE, "variant", nil, NULL);
    id<MTLBuffer> output = make_buffer(4);
    CHECK(!run_function(function, output, nil, 1));
    const uint32_t variant = *(uint32_t *)[output contents];
    [function release];
    [output release];
    return variant;
}

CASE(environment_chooses_the_variant)
{
    setenv("MPSRNN_ISA", "", 1);
    setenv("MPSRNN_VALIDATION", "", 1);
    const bool is_v3 = variant_that_runs() == 3;
    CHECK(is_v3 || variant_that_runs() == 1);
    setenv("MPSRNN_VALIDATION", "0", 1);
    setenv("MPSRNN_ISA", "baseline", 1);
    CHECK_EQUAL(variant_that_runs(), 1);
    setenv("MPSRNN_ISA", "x86-64-v3", 1);
    if (is_v3) {
        CHECK_EQUAL(variant_that_runs(), 3);
        expect_no_function(BASELINE_ONLY_SOURCE, "write_constants", constant_values(false), MTLLibraryErrorUnsupported,
                           "were built without the variant 'x86-64-v3'");
    } else {
        expect_no_function(MAIN_SOURCE, "variant", nil, MTLLibraryErrorUnsupported, "does not support it");
    }
    setenv("MPSRNN_ISA", "sse9", 1);
    expect_no_function(MAIN_SOURCE, "variant", nil, MTLLibraryErrorUnsupported,
                       "MPSRNN_ISA is 'sse9'; baseline, x86-64-v3 or x86-64-v4 expected");
    CHECK_TEXT([the_device().name UTF8String], "Portable Metal (CPU)");
    setenv("MPSRNN_VALIDATION", "1", 1);
    CHECK_EQUAL(variant_that_runs(), 9);
    expect_no_function(BASELINE_ONLY_SOURCE, "write_constants", nil, MTLLibraryErrorUnsupported, "variant 'checked'");
    setenv("MPSRNN_VALIDATION", "yes", 1);
    expect_no_function(MAIN_SOURCE, "variant", nil, MTLLibraryErrorUnsupported,
                       "MPSRNN_VALIDATION is 'yes'; 0 or 1 expected");
    /* A library without the best variant runs the one it has, if nobody asked for the best. */
    setenv("MPSRNN_VALIDATION", "0", 1);
    unsetenv("MPSRNN_ISA");
    id<MTLFunction> function = make_function(BASELINE_ONLY_SOURCE, "write_constants", constant_values(false), NULL);
    CHECK(function != nil);
    [function release];
}

CASE(checked_kernels_report_violations)
{
    setenv("MPSRNN_VALIDATION", "1", 1);
    id<MTLFunction> function = make_function(MAIN_SOURCE, "variant", nil, NULL);
    id<MTLBuffer> output = make_buffer(8);
    PortableMetalSetThreadCount(the_device(), 1);
    CHECK(!run_function(function, output, nil, 2));
    NSError *error = run_function(function, output, nil, 10);
    CHECK_TEXT(error_text(error), "kernel 'variant': write outside the buffer 'output'");
    CHECK_EQUAL([error code], MTLCommandBufferErrorPageFault);
    CHECK([[error domain] isEqualToString:MTLCommandBufferErrorDomain]);
    /* Two threadgroups, then three: the third found fault, and the rest did not run. */
    CHECK_EQUAL(((uint32_t *)[output contents])[1], 5);
    [function release];
    [output release];
}
