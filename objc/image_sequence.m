/* A stack of cells over a sequence of images.
 *
 * A sequence is prepared before anything is encoded: all images it needs are made and all pipelines compiled, so that a
 * failure leaves the command buffer as it was. */
#import "shim.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- What it is over ---- */

mcy_sequence mcy_sequence_over(MCYImageLayer *layer, MCYCommand *command, const mpsrnn_image *sources, size_t count,
                               mpsrnn_image_state state_in)
{
    const mpsrnn_image_descriptor *shape = &((MCYImage *)sources[0])->descriptor;
    const mcy_sequence sequence = {
        .layer = layer,
        .command = command,
        .sources = (MCYImage **)sources,
        .count = count,
        .width = shape->width,
        .height = shape->height,
        .images = shape->images,
        .state_in = (MCYImageState *)state_in,
    };
    return sequence;
}

static BOOL fits(const MCYImage *image, const mcy_sequence *q, uint32_t channels)
{
    const mpsrnn_image_descriptor *d = &image->descriptor;
    return d->width == q->width && d->height == q->height && d->images == q->images && d->channels == channels
        && image->device->metal == q->layer->device->metal;
}

static BOOL state_fits(const mcy_sequence *q)
{
    if (q->state_in->layer_count != q->layer->cell_count) {
        return NO;
    }
    for (size_t l = 0; l < q->layer->cell_count; ++l) {
        const mcy_cell *cell = &q->layer->cells[l];
        const MCYImage *output = q->state_in->outputs[l], *memory = q->state_in->memories[l];
        if (!output || !fits(output, q, cell->output_channels)
            || (memory != nil) != (cell->kind == MPSRNN_CELL_LSTM)
            || (memory && !fits(memory, q, cell->output_channels))) {
            return NO;
        }
    }
    return YES;
}

/* Python has checked with better words; this keeps a caller of the contract from the kernels' undefined behaviour. */
mpsrnn_status mcy_sequence_check_images(const mcy_sequence *q, MCYImage **images, uint32_t channels, const char *what,
                                        mpsrnn_error *error)
{
    for (size_t t = 0; t < q->count; ++t) {
        if (!fits(images[t], q, channels)) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s image %zu: expected %u x %u pixels, %u images and "
                            "%u channels, on the layer's device", what, t, q->width, q->height, q->images, channels);
        }
    }
    return MPSRNN_STATUS_OK;
}

/* The cells of a stack follow each other, and sources and destinations fit the first and the last. */
static mpsrnn_status check_stack(const mcy_sequence *q, mpsrnn_error *error)
{
    for (size_t l = 1; l < q->cell_count; ++l) {
        if (q->cells[l]->input_channels != q->cells[l - 1]->output_channels) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "layer %zu reads %u channels, the layer below makes %u",
                            q->cells[l]->index, q->cells[l]->input_channels, q->cells[l - 1]->output_channels);
        }
    }
    mpsrnn_status status = mcy_sequence_check_images(q, q->sources, q->cells[0]->input_channels, "source", error);
    if (status == MPSRNN_STATUS_OK) {
        const uint32_t outputs = q->cells[q->cell_count - 1]->output_channels;
        status = mcy_sequence_check_images(q, q->destinations, outputs, "destination", error);
    }
    return status;
}

mpsrnn_status mcy_sequence_check(const mcy_sequence *q, mpsrnn_error *error)
{
    if (q->command->committed) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer is already committed");
    }
    if (q->command->device->metal != q->layer->device->metal) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer belongs to another device");
    }
    if (q->state_in && !state_fits(q)) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the input state does not fit the layer or the images");
    }
    return check_stack(q, error);
}

mpsrnn_status mcy_sequence_choose_cells(mcy_sequence *q, mcy_direction direction, mpsrnn_error *error)
{
    q->cells = calloc(q->layer->cell_count, sizeof *q->cells);
    if (!q->cells) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a stack of %zu layers",
                        q->layer->cell_count);
    }
    for (size_t l = 0; l < q->layer->cell_count; ++l) {
        const mcy_cell *cell = &q->layer->cells[l];
        if (direction == MCY_ALL_CELLS || cell->is_backward == (direction == MCY_BACKWARD_CELLS)) {
            q->cells[q->cell_count++] = cell;
        }
    }
    q->is_backward = direction == MCY_BACKWARD_CELLS;
    return MPSRNN_STATUS_OK;
}

/* ---- Preparation ---- */

enum { SCRATCH_GATE, SCRATCH_RESET, SCRATCH_UPDATED, SCRATCH_COUNT };

static BOOL keeps_state(const mcy_sequence *q, size_t step)
{
    return q->state_count == q->count || (q->state_count == 1 && step + 1 == q->count);
}

static BOOL keeps_output(const mcy_sequence *q, size_t step, size_t layer)
{
    return keeps_state(q, step) || layer + 1 < q->cell_count
        || (step + 1 < q->count && q->cells[layer]->reads_output);
}

static BOOL has_state_before(const mcy_sequence *q, size_t step)
{
    return step > 0 || q->state_in;
}

/* The caller's state has a layer for every cell of the layer object, the others one for every cell of this stack. */
static MCYImage *output_before(const mcy_sequence *q, size_t step, size_t layer)
{
    return step > 0 ? q->states[step - 1]->outputs[layer]
                    : q->state_in ? q->state_in->outputs[q->cells[layer]->index] : nil;
}

static MCYImage *memory_before(const mcy_sequence *q, size_t step, size_t layer)
{
    return step > 0 ? q->states[step - 1]->memories[layer]
                    : q->state_in ? q->state_in->memories[q->cells[layer]->index] : nil;
}

/* Whatever the format of the destination, what recurs is float32: half would drift over long sequences. */
mpsrnn_status mcy_sequence_make_image(const mcy_sequence *q, uint32_t channels, MTLStorageMode storage_mode,
                                      MCYImage **out, mpsrnn_error *error)
{
    if (*out) {
        return MPSRNN_STATUS_OK;
    }
    const mpsrnn_image_descriptor descriptor = {
        .width = q->width,
        .height = q->height,
        .channels = channels,
        .images = q->images,
        .channel_format = 4,
        .usage = MTLTextureUsageShaderRead | MTLTextureUsageShaderWrite,
        .storage_mode = (uint32_t)storage_mode,
    };
    return mcy_image_create(q->layer->device, &descriptor, out, error);
}

static mpsrnn_status make_state(const mcy_sequence *q, size_t step, MCYImageState *state, mpsrnn_error *error)
{
    const MTLStorageMode storage_mode = keeps_state(q, step) && !q->has_private_states ? MTLStorageModeShared
                                                                                        : MTLStorageModePrivate;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t l = 0; l < q->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        const uint32_t channels = q->cells[l]->output_channels;
        if (keeps_output(q, step, l)) {
            status = mcy_sequence_make_image(q, channels, storage_mode, &state->outputs[l], error);
        }
        if (status == MPSRNN_STATUS_OK && q->cells[l]->kind == MPSRNN_CELL_LSTM) {
            status = mcy_sequence_make_image(q, channels, storage_mode, &state->memories[l], error);
        }
    }
    return status;
}

static mpsrnn_status make_states(mcy_sequence *q, mpsrnn_error *error)
{
    q->states = calloc(q->count, sizeof *q->states);
    if (!q->states) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for the states of %zu time steps", q->count);
    }
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; t < q->count && status == MPSRNN_STATUS_OK; ++t) {
        if (t >= 2 && !keeps_state(q, t)) {
            q->states[t] = [q->states[t - 2] retain];
        } else {
            q->states[t] = [[MCYImageState alloc] initWithLayerCount:q->cell_count];
        }
        status = q->states[t] ? make_state(q, t, q->states[t], error)
                              : mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for the state of time step %zu",
                                         t);
    }
    return status;
}

static mpsrnn_status make_private_image(const mcy_sequence *q, uint32_t channels, MCYImage **out, mpsrnn_error *error)
{
    return mcy_sequence_make_image(q, channels, MTLStorageModePrivate, out, error);
}

static mpsrnn_status make_scratch(mcy_sequence *q, mpsrnn_error *error)
{
    q->scratch = calloc(q->cell_count * SCRATCH_COUNT, sizeof *q->scratch);
    if (!q->scratch) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for intermediate images");
    }
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t l = 0; l < q->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        const mcy_cell *cell = q->cells[l];
        MCYImage **images = &q->scratch[l * SCRATCH_COUNT];
        if (cell->stage_count == 2) {
            status = make_private_image(q, cell->output_channels, &images[SCRATCH_GATE], error);
        }
        if (status == MPSRNN_STATUS_OK && cell->kind == MPSRNN_CELL_GRU && cell->has_recurrent) {
            status = make_private_image(q, cell->output_channels, &images[SCRATCH_RESET], error);
        }
        if (status == MPSRNN_STATUS_OK && cell->kind == MPSRNN_CELL_GRU && cell->has_memory) {
            status = make_private_image(q, cell->output_channels, &images[SCRATCH_UPDATED], error);
        }
    }
    return status;
}

static mpsrnn_status step_pipeline(const mcy_sequence *q, size_t step, size_t layer, size_t stage_index,
                                   id<MTLComputePipelineState> *out, mpsrnn_error *error)
{
    const mcy_cell *cell = q->cells[layer];
    MCYStage *stage = cell->stages[stage_index];
    const BOOL has_state = has_state_before(q, step);
    const BOOL has_destination = layer + 1 == q->cell_count;
    const BOOL keeps = keeps_output(q, step, layer);
    const int variant = has_state | has_destination << 1 | keeps << 2;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    pthread_mutex_lock(&q->layer->lock);
    if (!stage->pipelines[variant]) {
        mcy_constants constants = stage->constants;
        constants.values[MPSRNN_CONSTANT_HAS_STATE] = has_state;
        constants.values[MPSRNN_CONSTANT_HAS_RECURRENT] = has_state && cell->has_recurrent;
        constants.values[MPSRNN_CONSTANT_HAS_MEMORY] = has_state && cell->has_memory;
        constants.values[MPSRNN_CONSTANT_HAS_DESTINATION] = has_destination;
        constants.values[MPSRNN_CONSTANT_KEEPS_OUTPUT] = keeps;
        char name[64];
        snprintf(name, sizeof name, "%s_%s", stage->kernel, stage->float32_weights ? "float" : "half");
        status = mcy_device_pipeline(q->layer->device, cell->library, name, &constants, &stage->pipelines[variant],
                                     error);
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = stage->pipelines[variant];
    }
    pthread_mutex_unlock(&q->layer->lock);
    return status;
}

static mpsrnn_status make_pipelines(const mcy_sequence *q, mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; t < q->count; ++t) {
        for (size_t l = 0; l < q->cell_count; ++l) {
            for (size_t s = 0; s < q->cells[l]->stage_count && status == MPSRNN_STATUS_OK; ++s) {
                id<MTLComputePipelineState> pipeline;
                status = step_pipeline(q, t, l, s, &pipeline, error);
            }
        }
    }
    return status;
}

mpsrnn_status mcy_sequence_prepare(mcy_sequence *q, mpsrnn_error *error)
{
    mpsrnn_status status = make_states(q, error);
    if (status == MPSRNN_STATUS_OK) {
        status = make_scratch(q, error);
    }
    return status == MPSRNN_STATUS_OK ? make_pipelines(q, error) : status;
}

void mcy_sequence_destroy(mcy_sequence *q)
{
    for (size_t t = 0; q->states && t < q->count; ++t) {
        [q->states[t] release];
    }
    for (size_t i = 0; q->scratch && i < q->cell_count * SCRATCH_COUNT; ++i) {
        [q->scratch[i] release];
    }
    free(q->states);
    free(q->scratch);
    free(q->cells);
}

/* ---- Encoding ---- */

void mcy_bind_image(id<MTLComputeCommandEncoder> encoder, MCYImage *image, NSUInteger index)
{
    [encoder setTexture:image ? image->array : nil atIndex:index];
}

static void bind_images(const mcy_sequence *q, size_t step, size_t layer)
{
    id<MTLComputeCommandEncoder> encoder = q->command->encoder;
    const size_t place = q->is_backward ? q->count - 1 - step : step;
    const BOOL is_last = layer + 1 == q->cell_count;
    MCYImageState *after = q->states[step];
    MCYImage **scratch = &q->scratch[layer * SCRATCH_COUNT];
    mcy_bind_image(encoder, layer == 0 ? q->sources[place] : after->outputs[layer - 1], MPSRNN_TEXTURE_SOURCE);
    mcy_bind_image(encoder, output_before(q, step, layer), MPSRNN_TEXTURE_OUTPUT_IN);
    mcy_bind_image(encoder, memory_before(q, step, layer), MPSRNN_TEXTURE_MEMORY_IN);
    mcy_bind_image(encoder, after->outputs[layer], MPSRNN_TEXTURE_OUTPUT);
    mcy_bind_image(encoder, after->memories[layer], MPSRNN_TEXTURE_MEMORY);
    mcy_bind_image(encoder, is_last ? q->destinations[place] : nil, MPSRNN_TEXTURE_DESTINATION);
    mcy_bind_image(encoder, scratch[SCRATCH_GATE], MPSRNN_TEXTURE_GATE);
    mcy_bind_image(encoder, scratch[SCRATCH_RESET], MPSRNN_TEXTURE_RESET);
    mcy_bind_image(encoder, scratch[SCRATCH_UPDATED], MPSRNN_TEXTURE_UPDATED);
}

static void dispatch_stage(const mcy_sequence *q, MCYStage *stage)
{
    id<MTLComputeCommandEncoder> encoder = q->command->encoder;
    mpsrnn_cell_params params = stage->params;
    params.width = q->width;
    params.height = q->height;
    params.images = q->images;
    [encoder setBytes:&params length:sizeof params atIndex:MPSRNN_BUFFER_PARAMS];
    [encoder setBuffer:stage->weights offset:0 atIndex:MPSRNN_BUFFER_WEIGHTS];
    [encoder setBuffer:stage->taps offset:0 atIndex:MPSRNN_BUFFER_TAPS];
    [encoder setBuffer:stage->channels offset:0 atIndex:MPSRNN_BUFFER_CHANNELS];
    const uint32_t columns = (q->width + MPSRNN_PIXELS_PER_THREAD - 1) / MPSRNN_PIXELS_PER_THREAD;
    mcy_command_dispatch(q->command, columns, q->height, params.slices * q->images);
}

void mcy_sequence_encode(const mcy_sequence *q)
{
    for (size_t t = 0; t < q->count; ++t) {
        for (size_t l = 0; l < q->cell_count; ++l) {
            bind_images(q, t, l);
            for (size_t s = 0; s < q->cells[l]->stage_count; ++s) {
                id<MTLComputePipelineState> pipeline = nil;
                step_pipeline(q, t, l, s, &pipeline, NULL);     /* made before, cannot fail */
                [q->command->encoder setComputePipelineState:pipeline];
                dispatch_stage(q, q->cells[l]->stages[s]);
            }
        }
    }
}
