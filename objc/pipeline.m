/* Libraries and pipelines: from a .metal file in the package and a set of function constants to something to run. */
#import "shim.h"
#include <stdlib.h>
#include <string.h>

/* The text of each .metal file, put here by the build. */
extern const char mpsrnn_metal_combine[];
extern const char mpsrnn_metal_single_gate[];
extern const char mpsrnn_metal_gru[];
extern const char mpsrnn_metal_lstm[];
extern const char mpsrnn_metal_matrix_single_gate[];
extern const char mpsrnn_metal_matrix_gru[];
extern const char mpsrnn_metal_matrix_lstm[];
extern const char mpsrnn_metal_copy_matrix[];
extern const char mpsrnn_metal_pack[];
extern const char mpsrnn_metal_single_gate_gradient[];
extern const char mpsrnn_metal_gru_gradient[];
extern const char mpsrnn_metal_lstm_gradient[];
extern const char mpsrnn_metal_input_gradient[];
extern const char mpsrnn_metal_weight_gradient[];

struct mcy_pipeline_entry {
    char kernel[64];
    mcy_constants constants;
    id<MTLComputePipelineState> pipeline;
};

static const char *library_source(const char *library)
{
    static const struct {
        const char *name, *source;
    } libraries[] = {
        { "combine", mpsrnn_metal_combine },
        { "single_gate", mpsrnn_metal_single_gate },
        { "gru", mpsrnn_metal_gru },
        { "lstm", mpsrnn_metal_lstm },
        { "matrix_single_gate", mpsrnn_metal_matrix_single_gate },
        { "matrix_gru", mpsrnn_metal_matrix_gru },
        { "matrix_lstm", mpsrnn_metal_matrix_lstm },
        { "copy_matrix", mpsrnn_metal_copy_matrix },
        { "pack", mpsrnn_metal_pack },
        { "single_gate_gradient", mpsrnn_metal_single_gate_gradient },
        { "gru_gradient", mpsrnn_metal_gru_gradient },
        { "lstm_gradient", mpsrnn_metal_lstm_gradient },
        { "input_gradient", mpsrnn_metal_input_gradient },
        { "weight_gradient", mpsrnn_metal_weight_gradient },
    };
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; ++i) {
        if (strcmp(libraries[i].name, library) == 0) {
            return libraries[i].source;
        }
    }
    return NULL;
}

static mpsrnn_status fail_compile(mpsrnn_error *error, const char *kernel, NSError *cause)
{
    const char *text = cause ? [[cause localizedDescription] UTF8String] : "Metal gave no reason";
    return mcy_fail(error, MPSRNN_STATUS_KERNEL_COMPILE, "kernel '%s': %s", kernel, text);
}

static id<MTLLibrary> new_library(id<MTLDevice> metal, const char *library, NSError **cause)
{
    const char *source = library_source(library);
    if (!source) {
        return nil;
    }
    MTLCompileOptions *options = [[MTLCompileOptions alloc] init];
    /* NaN and infinity must come out as the formulae say. */
    options.fastMathEnabled = NO;
    /* The first that has pointers in buffers. */
    options.languageVersion = MTLLanguageVersion3_0;
    id<MTLLibrary> result = [metal newLibraryWithSource:[NSString stringWithUTF8String:source]
                                                options:options
                                                  error:cause];
    [options release];
    return result;
}

static MTLFunctionConstantValues *new_constant_values(const mcy_constants *constants)
{
    MTLFunctionConstantValues *values = [[MTLFunctionConstantValues alloc] init];
    for (NSUInteger i = 0; i < MPSRNN_CONSTANT_COUNT; ++i) {
        if (i < MPSRNN_CONSTANT_NEURON_0) {
            const bool flag = constants->values[i] != 0;
            [values setConstantValue:&flag type:MTLDataTypeBool atIndex:i];
        } else {
            [values setConstantValue:&constants->values[i] type:MTLDataTypeUInt atIndex:i];
        }
    }
    return values;
}

static mpsrnn_status compile(id<MTLDevice> metal, const char *library, const char *kernel,
                             const mcy_constants *constants, id<MTLComputePipelineState> *out, mpsrnn_error *error)
{
    NSError *cause = nil;
    id<MTLComputePipelineState> pipeline = nil;
    id<MTLFunction> function = nil;
    id<MTLLibrary> compiled = new_library(metal, library, &cause);
    if (compiled) {
        MTLFunctionConstantValues *values = new_constant_values(constants);
        function = [compiled newFunctionWithName:[NSString stringWithUTF8String:kernel]
                                  constantValues:values
                                           error:&cause];
        [values release];
    }
    if (function) {
        pipeline = [metal newComputePipelineStateWithFunction:function error:&cause];
    }
    [function release];
    [compiled release];
    if (!pipeline) {
        return fail_compile(error, kernel, cause);
    }
    *out = pipeline;
    return MPSRNN_STATUS_OK;
}

static mpsrnn_status add_entry(MCYDevice *device, const char *library, const char *kernel,
                               const mcy_constants *constants, mpsrnn_error *error)
{
    const size_t bytes = (device->pipeline_count + 1) * sizeof *device->pipelines;
    mcy_pipeline_entry *grown = realloc(device->pipelines, bytes);
    if (!grown) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a pipeline");
    }
    device->pipelines = grown;
    mcy_pipeline_entry *entry = &grown[device->pipeline_count];
    memset(entry, 0, sizeof *entry);
    mpsrnn_status status = compile(device->metal, library, kernel, constants, &entry->pipeline, error);
    if (status == MPSRNN_STATUS_OK) {
        strncpy(entry->kernel, kernel, sizeof entry->kernel - 1);
        entry->constants = *constants;
        ++device->pipeline_count;
    }
    return status;
}

mpsrnn_status mcy_device_pipeline(MCYDevice *device, const char *library, const char *kernel,
                                  const mcy_constants *constants, id<MTLComputePipelineState> *out,
                                  mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    pthread_mutex_lock(&device->lock);
    size_t i = 0;
    while (i < device->pipeline_count
           && (strcmp(device->pipelines[i].kernel, kernel) != 0
               || memcmp(&device->pipelines[i].constants, constants, sizeof *constants) != 0)) {
        ++i;
    }
    if (i == device->pipeline_count) {
        status = add_entry(device, library, kernel, constants, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = device->pipelines[i].pipeline;
    }
    pthread_mutex_unlock(&device->lock);
    return status;
}

void mcy_device_release_pipelines(MCYDevice *device)
{
    for (size_t i = 0; i < device->pipeline_count; ++i) {
        [device->pipelines[i].pipeline release];
    }
    free(device->pipelines);
}
