/* Bidirectional sequences: the forward layers are one stack, the backward layers another; their results are stored
 * apart, or combined by one more dispatch a time step. */
#import "shim.h"
#include <stdlib.h>

typedef struct {
    mcy_sequence forward, backward;
    mpsrnn_combine combine;
    MCYImage **destinations;                    /* of the combination */
    MCYImage **results;                         /* what is combined: forward, then backward */
    id<MTLComputePipelineState> pipeline;
} bidirectional;

static uint32_t output_channels(const mcy_sequence *q)
{
    return q->cells[q->cell_count - 1]->output_channels;
}

static mpsrnn_status make_results(bidirectional *b, mpsrnn_error *error)
{
    const size_t count = b->forward.count;
    b->results = calloc(2 * count, sizeof *b->results);
    if (!b->results) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for the results of %zu time steps", count);
    }
    b->forward.destinations = b->results;
    b->backward.destinations = b->results + count;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t i = 0; i < 2 * count && status == MPSRNN_STATUS_OK; ++i) {
        const mcy_sequence *q = i < count ? &b->forward : &b->backward;
        status = mcy_sequence_make_image(q, output_channels(q), MTLStorageModePrivate, &b->results[i], error);
    }
    return status;
}

static mpsrnn_status plan_combination(bidirectional *b, mpsrnn_error *error)
{
    if (b->forward.cell_count == 0 || b->backward.cell_count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "only layers of both directions can be combined");
    }
    const uint32_t forward = output_channels(&b->forward), backward = output_channels(&b->backward);
    if (b->combine == MPSRNN_COMBINE_ADD && forward != backward) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%u forward and %u backward channels cannot be added",
                        forward, backward);
    }
    const uint32_t channels = b->combine == MPSRNN_COMBINE_ADD ? forward : forward + backward;
    mpsrnn_status status = mcy_sequence_check_images(&b->forward, b->destinations, channels, "destination", error);
    if (status == MPSRNN_STATUS_OK) {
        const mcy_constants none = { { 0 } };
        const char *kernel = b->combine == MPSRNN_COMBINE_ADD ? "combine_add" : "combine_concatenate";
        status = mcy_device_pipeline(b->forward.layer->device, "combine", kernel, &none, &b->pipeline, error);
    }
    return status == MPSRNN_STATUS_OK ? make_results(b, error) : status;
}

/* Checks and prepares a stack; an empty one has nothing to do. */
static mpsrnn_status prepare(mcy_sequence *q, mpsrnn_error *error)
{
    if (q->cell_count == 0) {
        return MPSRNN_STATUS_OK;
    }
    if (!q->destinations) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no destinations for the %s layers",
                        q->is_backward ? "backward" : "forward");
    }
    mpsrnn_status status = mcy_sequence_check(q, error);
    return status == MPSRNN_STATUS_OK ? mcy_sequence_prepare(q, error) : status;
}

static mpsrnn_status prepare_both(bidirectional *b, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_sequence_choose_cells(&b->forward, MCY_FORWARD_CELLS, error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_sequence_choose_cells(&b->backward, MCY_BACKWARD_CELLS, error);
    }
    if (status == MPSRNN_STATUS_OK && b->combine != MPSRNN_COMBINE_NONE) {
        status = plan_combination(b, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = prepare(&b->forward, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = prepare(&b->backward, error);
    }
    return status == MPSRNN_STATUS_OK ? mcy_command_open_encoder(b->forward.command, MTLDispatchTypeSerial, error) : status;
}

static void encode_combination(const bidirectional *b)
{
    const mcy_sequence *q = &b->forward;
    id<MTLComputeCommandEncoder> encoder = q->command->encoder;
    const mpsrnn_combine_params params = {
        .width = q->width,
        .height = q->height,
        .forward_channels = output_channels(&b->forward),
        .backward_channels = output_channels(&b->backward),
    };
    [encoder setComputePipelineState:b->pipeline];
    [encoder setBytes:&params length:sizeof params atIndex:MPSRNN_BUFFER_PARAMS];
    for (size_t t = 0; t < q->count; ++t) {
        mcy_bind_image(encoder, b->results[t], MPSRNN_TEXTURE_FORWARD);
        mcy_bind_image(encoder, b->results[q->count + t], MPSRNN_TEXTURE_BACKWARD);
        mcy_bind_image(encoder, b->destinations[t], MPSRNN_TEXTURE_DESTINATION);
        const uint32_t slices = mcy_slices(b->destinations[t]->descriptor.channels);
        mcy_command_dispatch(q->command, q->width, q->height, slices * q->images);
    }
}

static void destroy(bidirectional *b)
{
    for (size_t i = 0; b->results && i < 2 * b->forward.count; ++i) {
        [b->results[i] release];
    }
    free(b->results);
    mcy_sequence_destroy(&b->forward);
    mcy_sequence_destroy(&b->backward);
}

mpsrnn_status mcy_image_layer_encode_bidirectional(mpsrnn_image_layer layer, mpsrnn_command command,
                                                   const mpsrnn_image *sources, const mpsrnn_image *forward,
                                                   const mpsrnn_image *backward, size_t count, mpsrnn_combine combine,
                                                   mpsrnn_image_state state_in, mpsrnn_error *error)
{
    if (count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a sequence of 0 images; at least 1 expected");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mcy_sequence q = mcy_sequence_over((MCYImageLayer *)layer, (MCYCommand *)command, sources, count, state_in);
    bidirectional b = { .forward = q, .backward = q, .combine = combine };
    b.destinations = (MCYImage **)forward;
    if (combine == MPSRNN_COMBINE_NONE) {
        b.forward.destinations = (MCYImage **)forward;
        b.backward.destinations = (MCYImage **)backward;
    }
    pthread_mutex_lock(&q.command->lock);
    mpsrnn_status status = prepare_both(&b, error);
    if (status == MPSRNN_STATUS_OK) {
        mcy_sequence_encode(&b.forward);
        mcy_sequence_encode(&b.backward);
        if (combine != MPSRNN_COMBINE_NONE) {
            encode_combination(&b);
        }
    }
    pthread_mutex_unlock(&q.command->lock);
    destroy(&b);
    [pool drain];
    return status;
}
