/* A layer object: its cells, and what can be encoded with them. */
#import "shim.h"
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
        status = mcy_cell_create(layer->device, &cells[i], &layer->cells[i], error);
        layer->cells[i].index = i;
        layer->cell_count += status == MPSRNN_STATUS_OK;
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = (mpsrnn_image_layer)layer;
    } else {
        [layer release];
    }
    [pool drain];
    return status;
}

static mpsrnn_status encode_sequence(mcy_sequence *q, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_sequence_choose_cells(q, MCY_ALL_CELLS, error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_sequence_check(q, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_sequence_prepare(q, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_command_open_encoder(q->command, MTLDispatchTypeSerial, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        mcy_sequence_encode(q);
    }
    return status;
}

mpsrnn_status mcy_image_layer_encode_sequence(mpsrnn_image_layer layer, mpsrnn_command command,
                                              const mpsrnn_image *sources, const mpsrnn_image *destinations,
                                              size_t count, mpsrnn_image_state state_in,
                                              mpsrnn_image_state *states_out, size_t state_count,
                                              bool private_states, mpsrnn_error *error)
{
    if (count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a sequence of 0 images; at least 1 expected");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mcy_sequence q = mcy_sequence_over((MCYImageLayer *)layer, (MCYCommand *)command, sources, count, state_in);
    q.destinations = (MCYImage **)destinations;
    q.state_count = state_count;
    q.has_private_states = private_states;
    pthread_mutex_lock(&q.command->lock);
    mpsrnn_status status = encode_sequence(&q, error);
    pthread_mutex_unlock(&q.command->lock);
    for (size_t i = 0; i < state_count && status == MPSRNN_STATUS_OK; ++i) {
        states_out[i] = (mpsrnn_image_state)[q.states[count - state_count + i] retain];
    }
    mcy_sequence_destroy(&q);
    [pool drain];
    return status;
}
