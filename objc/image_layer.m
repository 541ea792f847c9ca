/* A stack of cells, and its encoding over a sequence of images.
 *
 * An encode is planned before anything is encoded: all images it needs are made and all pipelines compiled, so that
 * a failure leaves the command buffer as it was. */
#import "shim.h"
#include <stdio.h>
#include <stdlib.h>

@implementation MCYImageLayer
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
    for (size_t i = 0; i < cell_count; ++i) {
        mcy_cell_destroy(&cells[i]);
    }
    free(cells);
    [device release];
    pthread_mutex_destroy(&lock);
    [super dealloc];
}
@end

mpsrnn_status mcy_image_layer_create(mpsrnn_device device, const mpsrnn_cell *cells, size_t count,
                                     mpsrnn_image_layer *out, mpsrnn_error *error)
{
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYImageLayer *layer = [[MCYImageLayer alloc] init];
    mpsrnn_status status = MPSRNN_STATUS_OK;
    if (layer) {
        layer->device = [(MCYDevice *)device retain];
        layer->cells = calloc(count, sizeof *layer->cells);
    }
    if (!layer || !layer->cells) {
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a stack of %zu layers", count);
    }
    for (size_t i = 0; i < count && status == MPSRNN_STATUS_OK; ++i) {
        if (i > 0 && cells[i].input_channels != cells[i - 1].output_channels) {
            status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "layer %zu reads %u channels, the layer below makes %u",
                              i, cells[i].input_channels, cells[i - 1].output_channels);
        } else {
            status = mcy_cell_create(layer->device, &cells[i], &layer->cells[i], error);
            layer->cell_count += status == MPSRNN_STATUS_OK;
        }
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = (mpsrnn_image_layer)layer;
    } else {
        [layer release];
    }
    [pool drain];
    return status;
}

/* What one encode needs besides the layer. */
typedef struct {
    MCYImageLayer *layer;
    MCYCommand *command;
    const mpsrnn_image *sources, *destinations;
    size_t count;
    MCYImageState *state_in;
    size_t state_count;
    uint32_t width, height, images;
    MCYImageState **states;                     /* by time step; a step whose state nobody keeps shares one of two */
    MCYImage **scratch;                         /* by layer: gate, reset, updated */
} encoding;

enum { SCRATCH_GATE, SCRATCH_RESET, SCRATCH_UPDATED, SCRATCH_COUNT };

static BOOL keeps_state(const encoding *e, size_t step)
{
    return e->state_count == e->count || (e->state_count == 1 && step + 1 == e->count);
}

static BOOL keeps_output(const encoding *e, size_t step, size_t layer)
{
    return keeps_state(e, step) || layer + 1 < e->layer->cell_count
        || (step + 1 < e->count && e->layer->cells[layer].reads_output);
}

static MCYImageState *state_before(const encoding *e, size_t step)
{
    return step > 0 ? e->states[step - 1] : e->state_in;
}

/* Whatever the format of the destination, what recurs is float32: half would drift over long sequences. */
static mpsrnn_status make_image(const encoding *e, size_t layer, MCYImage **out, mpsrnn_error *error)
{
    if (*out) {
        return MPSRNN_STATUS_OK;
    }
    const mpsrnn_image_descriptor descriptor = {
        .width = e->width,
        .height = e->height,
        .channels = e->layer->cells[layer].output_channels,
        .images = e->images,
        .channel_format = 4,
        .usage = MTLTextureUsageShaderRead | MTLTextureUsageShaderWrite,
        .storage_mode = MTLStorageModeShared,
    };
    return mcy_image_create(e->layer->device, &descriptor, out, error);
}

static mpsrnn_status make_state(const encoding *e, size_t step, MCYImageState *state, mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t l = 0; l < e->layer->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        if (keeps_output(e, step, l)) {
            status = make_image(e, l, &state->outputs[l], error);
        }
        if (status == MPSRNN_STATUS_OK && e->layer->cells[l].kind == MPSRNN_CELL_LSTM) {
            status = make_image(e, l, &state->memories[l], error);
        }
    }
    return status;
}

static mpsrnn_status make_states(encoding *e, mpsrnn_error *error)
{
    e->states = calloc(e->count, sizeof *e->states);
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; t < e->count && e->states && status == MPSRNN_STATUS_OK; ++t) {
        if (t >= 2 && !keeps_state(e, t)) {
            e->states[t] = [e->states[t - 2] retain];
        } else {
            e->states[t] = [[MCYImageState alloc] initWithLayerCount:e->layer->cell_count];
        }
        status = e->states[t] ? make_state(e, t, e->states[t], error) : MPSRNN_STATUS_OUT_OF_MEMORY;
    }
    if (!e->states || status == MPSRNN_STATUS_OUT_OF_MEMORY) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for the states of %zu time steps", e->count);
    }
    return status;
}

static mpsrnn_status make_scratch(encoding *e, mpsrnn_error *error)
{
    e->scratch = calloc(e->layer->cell_count * SCRATCH_COUNT, sizeof *e->scratch);
    if (!e->scratch) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for intermediate images");
    }
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t l = 0; l < e->layer->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        const mcy_cell *cell = &e->layer->cells[l];
        MCYImage **images = &e->scratch[l * SCRATCH_COUNT];
        if (cell->stage_count == 2) {
            status = make_image(e, l, &images[SCRATCH_GATE], error);
        }
        if (status == MPSRNN_STATUS_OK && cell->kind == MPSRNN_CELL_GRU && cell->has_recurrent) {
            status = make_image(e, l, &images[SCRATCH_RESET], error);
        }
        if (status == MPSRNN_STATUS_OK && cell->kind == MPSRNN_CELL_GRU && cell->has_memory) {
            status = make_image(e, l, &images[SCRATCH_UPDATED], error);
        }
    }
    return status;
}

static void destroy(encoding *e)
{
    for (size_t t = 0; e->states && t < e->count; ++t) {
        [e->states[t] release];
    }
    for (size_t i = 0; e->scratch && i < e->layer->cell_count * SCRATCH_COUNT; ++i) {
        [e->scratch[i] release];
    }
    free(e->states);
    free(e->scratch);
}

static mpsrnn_status step_pipeline(const encoding *e, size_t step, size_t layer, size_t stage_index,
                                   id<MTLComputePipelineState> *out, mpsrnn_error *error)
{
    const mcy_cell *cell = &e->layer->cells[layer];
    MCYStage *stage = cell->stages[stage_index];
    const BOOL has_state = state_before(e, step) != nil;
    const BOOL has_destination = layer + 1 == e->layer->cell_count;
    const BOOL keeps = keeps_output(e, step, layer);
    const int variant = has_state | has_destination << 1 | keeps << 2;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    pthread_mutex_lock(&e->layer->lock);
    if (!stage->pipelines[variant]) {
        mcy_constants constants = stage->constants;
        constants.values[MPSRNN_CONSTANT_HAS_STATE] = has_state;
        constants.values[MPSRNN_CONSTANT_HAS_RECURRENT] = has_state && cell->has_recurrent;
        constants.values[MPSRNN_CONSTANT_HAS_MEMORY] = has_state && cell->has_memory;
        constants.values[MPSRNN_CONSTANT_HAS_DESTINATION] = has_destination;
        constants.values[MPSRNN_CONSTANT_KEEPS_OUTPUT] = keeps;
        char name[64];
        snprintf(name, sizeof name, "%s_%s", stage->kernel, stage->float32_weights ? "float" : "half");
        status = mcy_device_pipeline(e->layer->device, cell->library, name, &constants, &stage->pipelines[variant],
                                     error);
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = stage->pipelines[variant];
    }
    pthread_mutex_unlock(&e->layer->lock);
    return status;
}

static mpsrnn_status make_pipelines(const encoding *e, mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; t < e->count; ++t) {
        for (size_t l = 0; l < e->layer->cell_count; ++l) {
            for (size_t s = 0; s < e->layer->cells[l].stage_count && status == MPSRNN_STATUS_OK; ++s) {
                id<MTLComputePipelineState> pipeline;
                status = step_pipeline(e, t, l, s, &pipeline, error);
            }
        }
    }
    return status;
}

static void bind(id<MTLComputeCommandEncoder> encoder, MCYImage *image, NSUInteger index)
{
    [encoder setTexture:image ? image->array : nil atIndex:index];
}

static void bind_images(const encoding *e, size_t step, size_t layer)
{
    id<MTLComputeCommandEncoder> encoder = e->command->encoder;
    MCYImageState *before = state_before(e, step), *after = e->states[step];
    MCYImage **scratch = &e->scratch[layer * SCRATCH_COUNT];
    const BOOL is_last = layer + 1 == e->layer->cell_count;
    bind(encoder, layer == 0 ? (MCYImage *)e->sources[step] : after->outputs[layer - 1], MPSRNN_TEXTURE_SOURCE);
    bind(encoder, before ? before->outputs[layer] : nil, MPSRNN_TEXTURE_OUTPUT_IN);
    bind(encoder, before ? before->memories[layer] : nil, MPSRNN_TEXTURE_MEMORY_IN);
    bind(encoder, after->outputs[layer], MPSRNN_TEXTURE_OUTPUT);
    bind(encoder, after->memories[layer], MPSRNN_TEXTURE_MEMORY);
    bind(encoder, is_last ? (MCYImage *)e->destinations[step] : nil, MPSRNN_TEXTURE_DESTINATION);
    bind(encoder, scratch[SCRATCH_GATE], MPSRNN_TEXTURE_GATE);
    bind(encoder, scratch[SCRATCH_RESET], MPSRNN_TEXTURE_RESET);
    bind(encoder, scratch[SCRATCH_UPDATED], MPSRNN_TEXTURE_UPDATED);
}

static NSUInteger ceil_divide(NSUInteger a, NSUInteger b)
{
    return (a + b - 1) / b;
}

static void dispatch_stage(const encoding *e, MCYStage *stage)
{
    id<MTLComputeCommandEncoder> encoder = e->command->encoder;
    mpsrnn_cell_params params = stage->params;
    params.width = e->width;
    params.height = e->height;
    params.images = e->images;
    [encoder setBytes:&params length:sizeof params atIndex:MPSRNN_BUFFER_PARAMS];
    [encoder setBuffer:stage->weights offset:0 atIndex:MPSRNN_BUFFER_WEIGHTS];
    [encoder setBuffer:stage->taps offset:0 atIndex:MPSRNN_BUFFER_TAPS];
    [encoder setBuffer:stage->channels offset:0 atIndex:MPSRNN_BUFFER_CHANNELS];
    const NSUInteger pixels = MPSRNN_THREADGROUP_WIDTH * MPSRNN_PIXELS_PER_THREAD;
    [encoder dispatchThreadgroups:MTLSizeMake(ceil_divide(e->width, pixels),
                                              ceil_divide(e->height, MPSRNN_THREADGROUP_HEIGHT),
                                              (NSUInteger)params.slices * e->images)
            threadsPerThreadgroup:MTLSizeMake(MPSRNN_THREADGROUP_WIDTH, MPSRNN_THREADGROUP_HEIGHT, 1)];
    ++e->command->dispatch_count;
}

static void encode_step(const encoding *e, size_t step)
{
    for (size_t l = 0; l < e->layer->cell_count; ++l) {
        const mcy_cell *cell = &e->layer->cells[l];
        bind_images(e, step, l);
        for (size_t s = 0; s < cell->stage_count; ++s) {
            id<MTLComputePipelineState> pipeline = nil;
            step_pipeline(e, step, l, s, &pipeline, NULL);      /* made before, cannot fail */
            [e->command->encoder setComputePipelineState:pipeline];
            dispatch_stage(e, cell->stages[s]);
        }
    }
}

static BOOL fits(const MCYImage *image, const encoding *e, uint32_t channels)
{
    const mpsrnn_image_descriptor *d = &image->descriptor;
    return d->width == e->width && d->height == e->height && d->images == e->images && d->channels == channels
        && image->device->metal == e->layer->device->metal;
}

static BOOL state_fits(const encoding *e)
{
    if (e->state_in->layer_count != e->layer->cell_count) {
        return NO;
    }
    for (size_t l = 0; l < e->layer->cell_count; ++l) {
        const mcy_cell *cell = &e->layer->cells[l];
        const MCYImage *output = e->state_in->outputs[l], *memory = e->state_in->memories[l];
        if (!output || !fits(output, e, cell->output_channels)
            || (memory != nil) != (cell->kind == MPSRNN_CELL_LSTM)
            || (memory && !fits(memory, e, cell->output_channels))) {
            return NO;
        }
    }
    return YES;
}

/* Python has checked with better words; this keeps a caller of the contract from the kernels' undefined behaviour. */
static mpsrnn_status check(const encoding *e, mpsrnn_error *error)
{
    const mcy_cell *first = &e->layer->cells[0], *last = &e->layer->cells[e->layer->cell_count - 1];
    for (size_t t = 0; t < e->count; ++t) {
        const MCYImage *source = (const MCYImage *)e->sources[t], *destination = (const MCYImage *)e->destinations[t];
        if (!fits(source, e, first->input_channels) || !fits(destination, e, last->output_channels)) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "images of time step %zu: all must be %u x %u pixels, %u "
                            "images, of the layer's device; sources of %u channels, destinations of %u", t, e->width,
                            e->height, e->images, first->input_channels, last->output_channels);
        }
    }
    if (e->command->committed) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer is already committed");
    }
    if (e->command->device->metal != e->layer->device->metal) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer belongs to another device");
    }
    if (e->state_in && !state_fits(e)) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the input state does not fit the layer or the images");
    }
    return MPSRNN_STATUS_OK;
}

static mpsrnn_status encode(encoding *e, mpsrnn_image_state *states_out, mpsrnn_error *error)
{
    mpsrnn_status status = check(e, error);
    if (status == MPSRNN_STATUS_OK) {
        status = make_states(e, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = make_scratch(e, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = make_pipelines(e, error);
    }
    if (status == MPSRNN_STATUS_OK && !e->command->encoder) {
        e->command->encoder = [[e->command->metal computeCommandEncoder] retain];
        if (!e->command->encoder) {
            status = mcy_fail(error, MPSRNN_STATUS_INTERNAL, "the command buffer made no encoder");
        }
    }
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    for (size_t t = 0; t < e->count; ++t) {
        encode_step(e, t);
    }
    for (size_t i = 0; i < e->state_count; ++i) {
        states_out[i] = (mpsrnn_image_state)[e->states[e->count - e->state_count + i] retain];
    }
    return MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_image_layer_encode_sequence(mpsrnn_image_layer layer, mpsrnn_command command,
                                              const mpsrnn_image *sources, const mpsrnn_image *destinations,
                                              size_t count, mpsrnn_image_state state_in,
                                              mpsrnn_image_state *states_out, size_t state_count,
                                              mpsrnn_error *error)
{
    if (count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a sequence of 0 images; at least 1 expected");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    const mpsrnn_image_descriptor *shape = &((MCYImage *)sources[0])->descriptor;
    encoding e = {
        .layer = (MCYImageLayer *)layer,
        .command = (MCYCommand *)command,
        .sources = sources,
        .destinations = destinations,
        .count = count,
        .state_in = (MCYImageState *)state_in,
        .state_count = state_count,
        .width = shape->width,
        .height = shape->height,
        .images = shape->images,
    };
    pthread_mutex_lock(&e.command->lock);
    mpsrnn_status status = encode(&e, states_out, error);
    pthread_mutex_unlock(&e.command->lock);
    destroy(&e);
    [pool drain];
    return status;
}
