/* The forward pass of training: a sequence on weights that are packed first, which keeps its intermediates. */
#import "training.h"
#include <stdlib.h>

typedef struct {
    MCYTrainingLayer *layer;
    const mpsrnn_gate_matrices *weights;
    mcy_matrix_sequence sequence;
    mcy_packed_weights packed;
    mcy_matrix_copies copies;                   /* of the state before the first step */
    MCYTrainingState **states;
    mcy_matrix_record *records;
} forward;

static mpsrnn_status check(forward *f, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_matrix_sequence_check(&f->sequence, error);
    return status == MPSRNN_STATUS_OK
               ? mcy_training_check_weights(f->layer, f->weights, NO, f->layer->data_type, "weight", error)
               : status;
}

static mpsrnn_status make_states(forward *f, mpsrnn_error *error)
{
    const size_t count = f->sequence.count;
    f->states = calloc(count, sizeof *f->states);
    f->records = calloc(count, sizeof *f->records);
    if (!f->states || !f->records) {
        return mcy_fail(error, MPSRNN_STATUS_OUT_OF_MEMORY, "no memory for %zu training states", count);
    }
    mpsrnn_status status = mcy_training_states_create(f->layer, f->sequence.sources, count, f->states, error);
    for (size_t t = 0; t < count && status == MPSRNN_STATUS_OK; ++t) {
        f->records[t] = f->states[t]->record;
    }
    f->sequence.records = f->records;
    return status;
}

static void add_copy(forward *f, const mpsrnn_matrix *from, mcy_memory to)
{
    const mcy_strided source = mcy_matrix_strided(from);
    const mcy_strided own = { mcy_memory_address(to), mcy_slices(from->columns) * 4, NO };
    mcy_matrix_copies_add(&f->copies, &source, &own, from->rows, from->columns);
}

/* The caller may change his state before the gradient reads it. */
static mpsrnn_status prepare_copies(forward *f, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_matrix_copies_create(2, &f->copies, error);
    const mpsrnn_matrix_state *state = f->sequence.state_in;
    if (status != MPSRNN_STATUS_OK || !state) {
        return status;
    }
    add_copy(f, &state->output, f->states[0]->output_in);
    if (f->layer->cell.kind == MPSRNN_CELL_LSTM) {
        add_copy(f, &state->memory, f->states[0]->memory_in);
    }
    return mcy_matrix_copies_prepare(&f->copies, f->layer->device, error);
}

static mpsrnn_status prepare(forward *f, mpsrnn_error *error)
{
    mpsrnn_status status = make_states(f, error);
    if (status == MPSRNN_STATUS_OK) {
        status = prepare_copies(f, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_pack_forward(f->layer, f->weights, &f->packed, error);
    }
    for (size_t i = 0; i < f->layer->cell.stage_count && status == MPSRNN_STATUS_OK; ++i) {
        f->sequence.weights[i].weights = f->packed.weights[i]->metal;
        f->sequence.weights[i].channels = f->packed.channels[i]->metal;
    }
    return status == MPSRNN_STATUS_OK ? mcy_matrix_sequence_prepare(&f->sequence, error) : status;
}

static void encode(forward *f)
{
    MCYCommand *command = f->sequence.command;
    const mpsrnn_matrix_state *state = f->sequence.state_in;
    mcy_training_use_weights(f->layer, command, f->weights, NO);
    mcy_packed_weights_encode(&f->packed, command);
    if (state) {
        mcy_memory_use(command->encoder, mcy_matrix_memory(&state->output), NO);
        mcy_memory_use(command->encoder, mcy_matrix_memory(&state->memory), NO);
        mcy_memory_use(command->encoder, f->states[0]->output_in, YES);
        mcy_matrix_copies_encode(&f->copies, command);
    }
    mcy_matrix_sequence_encode(&f->sequence);
}

static mpsrnn_status run(forward *f, mpsrnn_error *error)
{
    mpsrnn_status status = check(f, error);
    if (status == MPSRNN_STATUS_OK) {
        status = prepare(f, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_command_open_encoder(f->sequence.command, MTLDispatchTypeSerial, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        encode(f);
    }
    return status;
}

static void destroy(forward *f)
{
    for (size_t t = 0; f->states && t < f->sequence.count; ++t) {
        [f->states[t] release];
    }
    free(f->states);
    free(f->records);
    mcy_matrix_copies_destroy(&f->copies);
    mcy_packed_weights_destroy(&f->packed);
    mcy_matrix_sequence_destroy(&f->sequence);
}

mpsrnn_status mcy_training_layer_encode_forward(mpsrnn_training_layer handle, mpsrnn_command command,
                                                const mpsrnn_gate_matrices *weights, const mpsrnn_matrix *sources,
                                                const mpsrnn_matrix *destinations, size_t count,
                                                const mpsrnn_matrix_state *state_in,
                                                const mpsrnn_matrix_state *states_out, size_t state_count,
                                                mpsrnn_training_state *training, mpsrnn_error *error)
{
    if (!weights || !destinations || !training) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no %s", !weights        ? "weights"
                                                                    : !destinations ? "destination matrices"
                                                                                    : "room for training states");
    }
    NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
    MCYTrainingLayer *layer = (MCYTrainingLayer *)handle;
    const mcy_cell *cell = &layer->cell;
    forward f = { .layer = layer, .weights = weights };
    f.sequence.device = layer->device;
    f.sequence.command = (MCYCommand *)command;
    f.sequence.cells = &cell;
    f.sequence.cell_count = f.sequence.layer_count = 1;
    f.sequence.sources = sources;
    f.sequence.destinations = destinations;
    f.sequence.count = count;
    f.sequence.state_in = state_in;
    f.sequence.states_out = states_out;
    f.sequence.state_count = state_count;
    pthread_mutex_lock(&f.sequence.command->lock);
    mpsrnn_status status = run(&f, error);
    pthread_mutex_unlock(&f.sequence.command->lock);
    for (size_t t = 0; t < count && status == MPSRNN_STATUS_OK; ++t) {
        training[t] = (mpsrnn_training_state)[f.states[t] retain];
    }
    destroy(&f);
    [pool drain];
    return status;
}
