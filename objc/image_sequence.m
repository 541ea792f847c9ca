/* A stack of cells over a sequence of images.
 *
 * A sequence is prepared before anything is encoded: all images it needs are made (image_memory.m) and all pipelines
 * compiled, so that a failure leaves the command buffer as it was. */
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

static mpsrnn_status step_pipeline(const mcy_sequence *q, size_t step, size_t layer, size_t stage_index,
                                   id<MTLComputePipelineState> *out, mpsrnn_error *error)
{
    const mcy_cell *cell = q->cells[layer];
    MCYStage *stage = cell->stages[stage_index];
    const BOOL has_state = step > 0 || q->state_in;
    const BOOL has_destination = layer + 1 == q->cell_count;
    const BOOL keeps = mcy_sequence_keeps_output(q, step, layer);
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
    const mpsrnn_status status = mcy_sequence_make_memory(q, error);
    return status == MPSRNN_STATUS_OK ? make_pipelines(q, error) : status;
}

void mcy_sequence_destroy(mcy_sequence *q)
{
    mcy_sequence_release_memory(q);
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
    MCYImageState *after = q->states[step];
    MCYImage *source = layer == 0 ? q->sources[mcy_sequence_place(q, step)] : after->outputs[layer - 1];
    mcy_bind_image(encoder, source, MPSRNN_TEXTURE_SOURCE);
    mcy_bind_image(encoder, mcy_sequence_output_before(q, step, layer), MPSRNN_TEXTURE_OUTPUT_IN);
    mcy_bind_image(encoder, mcy_sequence_memory_before(q, step, layer), MPSRNN_TEXTURE_MEMORY_IN);
    mcy_bind_image(encoder, after->outputs[layer], MPSRNN_TEXTURE_OUTPUT);
    mcy_bind_image(encoder, after->memories[layer], MPSRNN_TEXTURE_MEMORY);
    mcy_bind_image(encoder, mcy_sequence_destination(q, step, layer), MPSRNN_TEXTURE_DESTINATION);
    mcy_bind_image(encoder, mcy_sequence_scratch(q, step, layer, MCY_SCRATCH_GATE), MPSRNN_TEXTURE_GATE);
    mcy_bind_image(encoder, mcy_sequence_scratch(q, step, layer, MCY_SCRATCH_RESET), MPSRNN_TEXTURE_RESET);
    mcy_bind_image(encoder, mcy_sequence_scratch(q, step, layer, MCY_SCRATCH_UPDATED), MPSRNN_TEXTURE_UPDATED);
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
