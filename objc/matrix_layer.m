/* A layer over matrices: its cells, and their sequences. */
#import "matrix_sequence.h"
#include <stdlib.h>

@implementation MCYMatrixLayer
- (void)dealloc
{
    for (size_t i = 0; i < cell_count; ++i) {
        mcy_cell_destroy(&cells[i]);
    }
    free(cells);
    [device release];
    [super dealloc];
}
@end

static BOOL is_fully_connected(const mpsrnn_convolution *c, uint32_t inputs, uint32_t outputs)
{
    if (!c->weights) {
        return YES;
    }
    const BOOL is_divisible = c->groups > 0 && inputs % c->groups == 0 && outputs % c->groups == 0;
    return c->width == 1 && c->height == 1 && is_divisible
        && (c->groups == 1 || (inputs / c->groups % 4 == 0 && outputs / c->groups % 4 == 0));
}

mpsrnn_status mcy_matrix_cell_create(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error)
{
    for (uint32_t g = 0; g < mcy_gate_count(cell->kind); ++g) {
        const mpsrnn_gate *gate = &cell->gates[g];
        if (!is_fully_connected(&gate->input, cell->input_channels, cell->output_channels)
            || !is_fully_connected(&gate->recurrent, cell->output_channels, cell->output_channels)
            || !is_fully_connected(&gate->memory, cell->output_channels, cell->output_channels)) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "gate %u: kernels of 1 x 1 expected, and groups of a "
                            "multiple of 4 channels that divide %u input and %u output channels", g,
                            cell->input_channels, cell->output_channels);
        }
    }
    return mcy_cell_create(device, cell, out, error);
}

mpsrnn_status mcy_matrix_layer_create(mpsrnn_device device, const mpsrnn_cell *cells, size_t count,
                                      mpsrnn_matrix_layer *out, mpsrnn_error *error)
{
    if (count == 0) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a stack of 0 layers; at least 1 expected");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYMatrixLayer *layer = [[MCYMatrixLayer alloc] init];
    mpsrnn_status status = MPSRNN_STATUS_OK;
    if (layer) {
        layer->device = [(MCYDevice *)device retain];
        layer->cells = calloc(count, sizeof *layer->cells);
    }
    if (!layer || !layer->cells) {
        status = mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a stack of %zu layers", count);
    }
    for (size_t i = 0; i < count && status == MPSRNN_STATUS_OK; ++i) {
        status = mcy_matrix_cell_create(layer->device, &cells[i], &layer->cells[i], error);
        layer->cells[i].index = i;
        layer->cell_count += status == MPSRNN_STATUS_OK;
    }
    if (status == MPSRNN_STATUS_OK) {
        *out = (mpsrnn_matrix_layer)layer;
    } else {
        [layer release];
    }
    [pool drain];
    return status;
}

mpsrnn_status mcy_matrix_sequence_choose_cells(mcy_matrix_sequence *q, MCYMatrixLayer *layer, mcy_direction direction,
                                               mpsrnn_error *error)
{
    q->device = layer->device;
    q->layer_count = layer->cell_count;
    q->is_backward = direction == MCY_BACKWARD_CELLS;
    q->cells = calloc(layer->cell_count, sizeof *q->cells);
    if (!q->cells) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for a stack of %zu layers", layer->cell_count);
    }
    for (size_t l = 0; l < layer->cell_count; ++l) {
        const mcy_cell *cell = &layer->cells[l];
        if (direction == MCY_ALL_CELLS || cell->is_backward == (direction == MCY_BACKWARD_CELLS)) {
            q->cells[q->cell_count++] = cell;
        }
    }
    return MPSRNN_STATUS_OK;
}

static mpsrnn_status encode_sequence(mcy_matrix_sequence *q, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_matrix_sequence_check(q, error);
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_matrix_sequence_prepare(q, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_command_open_encoder(q->command, MTLDispatchTypeSerial, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        mcy_matrix_sequence_encode(q);
    }
    return status;
}

mpsrnn_status mcy_matrix_layer_encode_sequence(mpsrnn_matrix_layer layer, mpsrnn_command command,
                                               const mpsrnn_matrix *sources, const mpsrnn_matrix *destinations,
                                               size_t count, const mpsrnn_matrix_state *state_in,
                                               const mpsrnn_matrix_state *states_out, size_t state_count,
                                               uint32_t options, mpsrnn_error *error)
{
    if (!destinations) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no destination matrices");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    mcy_matrix_sequence q = {
        .command = (MCYCommand *)command,
        .sources = sources,
        .destinations = destinations,
        .count = count,
        .state_in = state_in,
        .states_out = states_out,
        .state_count = state_count,
        .allows_reduced_precision = (options & MPSRNN_ALLOW_REDUCED_PRECISION) != 0,
    };
    mpsrnn_status status = mcy_matrix_sequence_choose_cells(&q, (MCYMatrixLayer *)layer, MCY_ALL_CELLS, error);
    if (status == MPSRNN_STATUS_OK) {
        pthread_mutex_lock(&q.command->lock);
        status = encode_sequence(&q, error);
        pthread_mutex_unlock(&q.command->lock);
    }
    mcy_matrix_sequence_destroy(&q);
    free(q.cells);
    [pool drain];
    return status;
}
