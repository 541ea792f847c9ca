/* The images that a sequence needs besides the caller's: what a step leaves to the next, and a cell's first dispatch to
 * its second.
 *
 * There are as few of them as possible, for each costs memory and the time to move it. A destination that holds
 * float32 is read as the previous output itself. Where a texture may be changed in place, it also holds what a first
 * dispatch leaves until the output overwrites it, and a memory cell, of which a kernel reads no other pixel than the
 * one that it writes, has one image only. */
#import "shim.h"
#include "platform.h"
#include <stdlib.h>

size_t mcy_sequence_place(const mcy_sequence *q, size_t step)
{
    return q->is_backward ? q->count - 1 - step : step;
}

MCYImage *mcy_sequence_destination(const mcy_sequence *q, size_t step, size_t layer)
{
    return layer + 1 == q->cell_count ? q->destinations[mcy_sequence_place(q, step)] : nil;
}

static BOOL keeps_state(const mcy_sequence *q, size_t step)
{
    return q->state_count == q->count || (q->state_count == 1 && step + 1 == q->count);
}

/* Whatever the format of the destination, what recurs is float32: half would drift over long sequences. */
static BOOL holds_what_recurs(const MCYImage *image)
{
    return image && image->descriptor.channel_format == 4 && (image->descriptor.usage & MTLTextureUsageShaderRead);
}

static BOOL share_memory(const MCYImage *a, const MCYImage *b)
{
    mpsrnn_storage first, second;
    mcy_read_storage(a->texture, &first);
    mcy_read_storage(b->texture, &second);
    return first.identity == second.identity && first.first_slice < second.first_slice + second.slices
        && second.first_slice < first.first_slice + first.slices;
}

/* Whether the next step finds the output of the last layer in the destination. It must not have to write there. */
static BOOL recurs_in_destination(const mcy_sequence *q, size_t step)
{
    if (step + 1 >= q->count) {
        return NO;
    }
    const MCYImage *destination = mcy_sequence_destination(q, step, q->cell_count - 1);
    return holds_what_recurs(destination)
        && !share_memory(destination, mcy_sequence_destination(q, step + 1, q->cell_count - 1));
}

BOOL mcy_sequence_keeps_output(const mcy_sequence *q, size_t step, size_t layer)
{
    return keeps_state(q, step) || layer + 1 < q->cell_count
        || (step + 1 < q->count && q->cells[layer]->reads_output && !q->recurs_in_destination[step]);
}

/* The caller's state has a layer for every cell of the layer object, the others one for every cell of this stack. */
MCYImage *mcy_sequence_output_before(const mcy_sequence *q, size_t step, size_t layer)
{
    if (step == 0) {
        return q->state_in ? q->state_in->outputs[q->cells[layer]->index] : nil;
    }
    return mcy_sequence_keeps_output(q, step - 1, layer) ? q->states[step - 1]->outputs[layer]
                                                         : mcy_sequence_destination(q, step - 1, layer);
}

MCYImage *mcy_sequence_memory_before(const mcy_sequence *q, size_t step, size_t layer)
{
    return step > 0 ? q->states[step - 1]->memories[layer]
                    : q->state_in ? q->state_in->memories[q->cells[layer]->index] : nil;
}

MCYImage *mcy_sequence_scratch(const mcy_sequence *q, size_t step, size_t layer, mcy_scratch which)
{
    if (which == MCY_SCRATCH_GATE && mcy_changes_textures_in_place()
        && holds_what_recurs(mcy_sequence_destination(q, step, layer))) {
        return mcy_sequence_destination(q, step, layer);
    }
    return q->scratch[layer * MCY_SCRATCH_COUNT + which];
}

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

/* Lets the second of two states that are used in turn share what a step may overwrite while it reads: the memory cell,
 * unless it is convolved, and the output of a GRU, whose last dispatch reads no other pixel's. */
static void share_images(const mcy_sequence *q, MCYImageState *state, const MCYImageState *first)
{
    for (size_t l = 0; l < q->cell_count; ++l) {
        const mcy_cell *cell = q->cells[l];
        if (cell->kind == MPSRNN_CELL_LSTM && !cell->has_memory) {
            state->memories[l] = [first->memories[l] retain];
        }
        if (cell->kind == MPSRNN_CELL_GRU) {
            state->outputs[l] = [first->outputs[l] retain];
        }
    }
}

static mpsrnn_status make_state(const mcy_sequence *q, size_t step, MCYImageState *state, mpsrnn_error *error)
{
    const MTLStorageMode storage_mode = keeps_state(q, step) && !q->has_private_states ? MTLStorageModeShared
                                                                                        : MTLStorageModePrivate;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t l = 0; l < q->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        const uint32_t channels = q->cells[l]->output_channels;
        if (mcy_sequence_keeps_output(q, step, l)) {
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
        if (!q->states[t]) {
            return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for the state of time step %zu", t);
        }
        if (t == 1 && !keeps_state(q, t) && mcy_changes_textures_in_place()) {
            share_images(q, q->states[1], q->states[0]);
        }
        status = make_state(q, t, q->states[t], error);
    }
    return status;
}

/* Whether a cell's first dispatch needs an image for its second at some step. */
static BOOL needs_scratch(const mcy_sequence *q, size_t layer, mcy_scratch which)
{
    const mcy_cell *cell = q->cells[layer];
    if (which != MCY_SCRATCH_GATE) {
        const BOOL has_state = q->count > 1 || q->state_in;
        const BOOL is_convolved = which == MCY_SCRATCH_RESET ? cell->has_recurrent : cell->has_memory;
        return cell->kind == MPSRNN_CELL_GRU && has_state && is_convolved;
    }
    BOOL is_missing = NO;
    for (size_t t = 0; t < q->count && cell->stage_count == 2; ++t) {
        is_missing = is_missing || !mcy_sequence_scratch(q, t, layer, which);
    }
    return is_missing;
}

static mpsrnn_status make_scratch(mcy_sequence *q, mpsrnn_error *error)
{
    q->scratch = calloc(q->cell_count * MCY_SCRATCH_COUNT, sizeof *q->scratch);
    if (!q->scratch) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for intermediate images");
    }
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t i = 0; i < q->cell_count * MCY_SCRATCH_COUNT && status == MPSRNN_STATUS_OK; ++i) {
        const size_t layer = i / MCY_SCRATCH_COUNT;
        if (needs_scratch(q, layer, (mcy_scratch)(i % MCY_SCRATCH_COUNT))) {
            status = mcy_sequence_make_image(q, q->cells[layer]->output_channels, MTLStorageModePrivate,
                                             &q->scratch[i], error);
        }
    }
    return status;
}

mpsrnn_status mcy_sequence_make_memory(mcy_sequence *q, mpsrnn_error *error)
{
    q->recurs_in_destination = calloc(q->count, sizeof *q->recurs_in_destination);
    if (!q->recurs_in_destination) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a sequence of %zu time steps", q->count);
    }
    for (size_t t = 0; t < q->count; ++t) {
        q->recurs_in_destination[t] = recurs_in_destination(q, t);
    }
    const mpsrnn_status status = make_states(q, error);
    return status == MPSRNN_STATUS_OK ? make_scratch(q, error) : status;
}

void mcy_sequence_release_memory(mcy_sequence *q)
{
    for (size_t t = 0; q->states && t < q->count; ++t) {
        [q->states[t] release];
    }
    for (size_t i = 0; q->scratch && i < q->cell_count * MCY_SCRATCH_COUNT; ++i) {
        [q->scratch[i] release];
    }
    free(q->states);
    free(q->scratch);
    free(q->recurs_in_destination);
}
