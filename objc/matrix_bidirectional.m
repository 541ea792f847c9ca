/* Bidirectional sequences: the forward layers are one stack, the backward layers another. Neither way to combine them
 * takes a dispatch of its own: a concatenation is two views of each destination, and a sum is made by the last layer of
 * the backward stack, from the float32 results of the forward one. */
#import "matrix_sequence.h"
#include <stdlib.h>

typedef struct {
    mcy_matrix_sequence forward, backward;
    mpsrnn_matrix *views;                       /* of the destinations: forward, then backward */
} bidirectional;

static uint32_t output_channels(const mcy_matrix_sequence *q)
{
    return q->cells[q->cell_count - 1]->output_channels;
}

/* Each destination as two matrices side by side. */
static mpsrnn_status make_views(bidirectional *b, const mpsrnn_matrix *destinations, mpsrnn_error *error)
{
    const size_t count = b->forward.count;
    const uint32_t forward = output_channels(&b->forward), backward = output_channels(&b->backward);
    b->views = calloc(count, 2 * sizeof *b->views);
    if (!b->views) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu time steps", count);
    }
    for (size_t t = 0; t < count; ++t) {
        mpsrnn_status status = mcy_matrix_check(&destinations[t], b->forward.device, 0, forward + backward,
                                                "destination", t, error);
        if (status != MPSRNN_STATUS_OK) {
            return status;
        }
        b->views[t] = b->views[count + t] = destinations[t];
        b->views[t].columns = forward;
        b->views[count + t].columns = backward;
        b->views[count + t].offset += forward * mcy_element_size(destinations[t].data_type);
    }
    b->forward.destinations = b->views;
    b->backward.destinations = b->views + count;
    return MPSRNN_STATUS_OK;
}

/* Who writes where. */
static mpsrnn_status plan(bidirectional *b, mpsrnn_combine combine, const mpsrnn_matrix *forward,
                          const mpsrnn_matrix *backward, mpsrnn_error *error)
{
    if (combine == MPSRNN_COMBINE_NONE) {
        b->forward.destinations = forward;
        b->backward.destinations = backward;
        if ((b->forward.cell_count > 0 && !forward) || (b->backward.cell_count > 0 && !backward)) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no destinations for the %s layers",
                            forward ? "backward" : "forward");
        }
        return MPSRNN_STATUS_OK;
    }
    if (!forward) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no destinations for the combination");
    }
    if (b->forward.cell_count == 0 || b->backward.cell_count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "only layers of both directions can be combined");
    }
    if (combine == MPSRNN_COMBINE_CONCATENATE) {
        return make_views(b, forward, error);
    }
    if (output_channels(&b->forward) != output_channels(&b->backward)) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%u forward and %u backward channels cannot be added",
                        output_channels(&b->forward), output_channels(&b->backward));
    }
    b->backward.destinations = forward;
    b->backward.addend = &b->forward;
    return MPSRNN_STATUS_OK;
}

/* Checks and prepares a stack; an empty one has nothing to do. */
static mpsrnn_status prepare(mcy_matrix_sequence *q, mpsrnn_error *error)
{
    if (q->cell_count == 0) {
        return MPSRNN_STATUS_OK;
    }
    mpsrnn_status status = mcy_matrix_sequence_check(q, error);
    return status == MPSRNN_STATUS_OK ? mcy_matrix_sequence_prepare(q, error) : status;
}

static bool takes_one_dispatch_each(const mcy_matrix_sequence *q)
{
    for (size_t l = 0; l < q->cell_count; ++l) {
        if (!mcy_matrix_takes_one_dispatch(q, l)) {
            return false;
        }
    }
    return q->cell_count > 0;
}

/* Time steps that are dispatches of their own have to follow one another. */
static bool can_overlap(const bidirectional *b)
{
    return takes_one_dispatch_each(&b->forward) && takes_one_dispatch_each(&b->backward);
}

static mpsrnn_status prepare_both(bidirectional *b, mpsrnn_error *error)
{
    mpsrnn_status status = prepare(&b->forward, error);
    if (status == MPSRNN_STATUS_OK) {
        status = prepare(&b->backward, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        const MTLDispatchType type = can_overlap(b) ? MTLDispatchTypeConcurrent : MTLDispatchTypeSerial;
        status = mcy_command_open_encoder(b->forward.command, type, error);
    }
    return status;
}

static void encode_one(const mcy_matrix_sequence *q)
{
    if (q->cell_count > 0) {
        mcy_matrix_sequence_encode(q);
    }
}

/* Layer by layer of either stack at the same time, but for the sum of both. */
static void encode_abreast(const bidirectional *b)
{
    const mcy_matrix_sequence *forward = &b->forward, *backward = &b->backward;
    const size_t last = backward->cell_count - 1;
    const size_t last_turn = backward->addend && last < forward->cell_count ? forward->cell_count : last;
    mcy_matrix_sequence_use_resources(forward);
    mcy_matrix_sequence_use_resources(backward);
    for (size_t turn = 0; turn <= last_turn || turn < forward->cell_count; ++turn) {
        [forward->command->encoder memoryBarrierWithScope:MTLBarrierScopeBuffers];
        if (turn < forward->cell_count) {
            mcy_matrix_sequence_encode_layer(forward, turn);
        }
        if (turn < last) {
            mcy_matrix_sequence_encode_layer(backward, turn);
        } else if (turn == last_turn) {
            mcy_matrix_sequence_encode_layer(backward, last);
        }
    }
}

static void encode(const bidirectional *b)
{
    if (can_overlap(b)) {
        encode_abreast(b);
    } else {
        encode_one(&b->forward);
        encode_one(&b->backward);
    }
}

static void destroy(bidirectional *b)
{
    mcy_matrix_sequence_destroy(&b->forward);
    mcy_matrix_sequence_destroy(&b->backward);
    free(b->forward.cells);
    free(b->backward.cells);
    free(b->views);
}

mpsrnn_status mcy_matrix_layer_encode_bidirectional(mpsrnn_matrix_layer handle, mpsrnn_command command,
                                                    const mpsrnn_matrix *sources, const mpsrnn_matrix *forward,
                                                    const mpsrnn_matrix *backward, size_t count,
                                                    mpsrnn_combine combine, const mpsrnn_matrix_state *state_in,
                                                    uint32_t options, mpsrnn_error *error)
{
    if (count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a sequence of 0 matrices; at least 1 expected");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYMatrixLayer *layer = (MCYMatrixLayer *)handle;
    const mcy_matrix_sequence q = {
        .command = (MCYCommand *)command,
        .sources = sources,
        .count = count,
        .state_in = state_in,
        .allows_reduced_precision = (options & MPSRNN_ALLOW_REDUCED_PRECISION) != 0,
    };
    bidirectional b = { .forward = q, .backward = q };
    mpsrnn_status status = mcy_matrix_sequence_choose_cells(&b.forward, layer, MCY_FORWARD_CELLS, error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_matrix_sequence_choose_cells(&b.backward, layer, MCY_BACKWARD_CELLS, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = plan(&b, combine, forward, backward, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        pthread_mutex_lock(&q.command->lock);
        status = prepare_both(&b, error);
        if (status == MPSRNN_STATUS_OK) {
            encode(&b);
        }
        pthread_mutex_unlock(&q.command->lock);
    }
    destroy(&b);
    [pool drain];
    return status;
}
