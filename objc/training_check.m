/* What must hold of a gradient call before the kernels follow its pointers. Python has checked with better words; this
 * keeps a caller of the contract from undefined behaviour. */
#import "training.h"

/* Matrices of every step, at least as high as its source and, if so wanted, of one type. */
static mpsrnn_status check_matrices(const mcy_gradient *g, const mpsrnn_matrix *matrices, uint32_t columns,
                                    BOOL are_alike, const char *what, mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; t < g->count && status == MPSRNN_STATUS_OK; ++t) {
        status = mcy_matrix_check(&matrices[t], g->layer->device, 0, columns, what, t, error);
        if (status == MPSRNN_STATUS_OK && (matrices[t].rows < g->sources[t].rows
                                           || (are_alike && matrices[t].data_type != matrices[0].data_type))) {
            status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: %u rows of type %#x; at least the %u "
                              "rows of its source expected, and one type", what, t, matrices[t].rows,
                              matrices[t].data_type, g->sources[t].rows);
        }
    }
    return status;
}

static mpsrnn_status check_sources(const mcy_gradient *g, mpsrnn_error *error)
{
    mpsrnn_status status = check_matrices(g, g->sources, g->layer->cell.input_channels, YES, "source", error);
    for (size_t t = 1; t < g->count && status == MPSRNN_STATUS_OK; ++t) {
        if (g->sources[t].rows > g->sources[t - 1].rows) {
            status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "source matrix %zu: %u rows; no more than the %u of "
                              "the one before expected", t, g->sources[t].rows, g->sources[t - 1].rows);
        }
    }
    return status;
}

static mpsrnn_status check_training(const mcy_gradient *g, mpsrnn_error *error)
{
    const mcy_cell *cell = &g->layer->cell;
    const BOOL needs_reset = mcy_training_keeps(g->layer, MCY_RECURRENT);
    const BOOL needs_updated = mcy_training_keeps(g->layer, MCY_MEMORY);
    for (size_t t = 0; t < g->count; ++t) {
        const MCYTrainingState *state = g->states[t];
        if (!state || state->memory->device->metal != g->layer->device->metal || state->kind != cell->kind
            || state->input_channels != cell->input_channels || state->output_channels != cell->output_channels
            || (needs_reset && !state->record.reset.buffer) || (needs_updated && !state->record.updated.buffer)) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "training state %zu: not of this kind of layer", t);
        }
        if (state->rows != g->sources[t].rows) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "training state %zu: of %u rows, its source has %u", t,
                            state->rows, g->sources[t].rows);
        }
    }
    return MPSRNN_STATUS_OK;
}

/* Rows that `carry_in` does not have are zero: their sequences ended before the steps it comes from. */
static mpsrnn_status check_carry_part(const mcy_gradient *g, const mpsrnn_matrix *part, BOOL may_be_lower,
                                      const char *what, size_t index, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_matrix_check(part, g->layer->device, may_be_lower ? 0 : g->rows,
                                            g->layer->cell.output_channels, what, index, error);
    if (status == MPSRNN_STATUS_OK && (part->data_type != MPSRNN_FLOAT32 || part->rows > g->rows)) {
        status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: %u rows of type %#x; at most %u of "
                          "float32 expected", what, index, part->rows, part->data_type, g->rows);
    }
    return status;
}

static mpsrnn_status check_carry(const mcy_gradient *g, const mpsrnn_matrix_state *carry, BOOL may_be_lower,
                                 const char *what, size_t index, mpsrnn_error *error)
{
    mpsrnn_status status = check_carry_part(g, &carry->output, may_be_lower, what, index, error);
    if (status != MPSRNN_STATUS_OK) {
        return status;
    }
    if (g->layer->cell.kind == MPSRNN_CELL_LSTM) {
        return check_carry_part(g, &carry->memory, may_be_lower, what, index, error);
    }
    return carry->memory.buffer ? mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: only an LSTM has a "
                                           "memory cell", what, index)
                                : MPSRNN_STATUS_OK;
}

static mpsrnn_status check_carries(const mcy_gradient *g, mpsrnn_error *error)
{
    if (g->carry_count > 1 && g->carry_count != g->count) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%zu output states of %zu time steps; 0, 1 or all expected",
                        g->carry_count, g->count);
    }
    if (g->carry_count > 0 && !g->carries_out) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no matrices for %zu output states", g->carry_count);
    }
    mpsrnn_status status = g->carry_in ? check_carry(g, g->carry_in, YES, "input state", 0, error) : MPSRNN_STATUS_OK;
    for (size_t i = 0; i < g->carry_count && status == MPSRNN_STATUS_OK; ++i) {
        status = check_carry(g, &g->carries_out[i], NO, "output state", i, error);
    }
    return status;
}

static mpsrnn_status check_weight_gradients(const mcy_gradient *g, mpsrnn_error *error)
{
    uint32_t data_type = MPSRNN_FLOAT32;        /* of the first that is there */
    for (uint32_t i = g->layer->gate_count * MCY_PART_COUNT; i-- > 0;) {
        const mpsrnn_matrix *matrix = mcy_part(g->weight_gradients, i / MCY_PART_COUNT, i % MCY_PART_COUNT);
        data_type = matrix->buffer ? matrix->data_type : data_type;
    }
    return mcy_training_check_weights(g->layer, g->weight_gradients, YES, data_type, "weight gradient", error);
}

static mpsrnn_status check_arguments(const mcy_gradient *g, mpsrnn_error *error)
{
    if (g->count == 0 || g->count > UINT32_MAX || !g->sources || !g->gradients || !g->weights || !g->states) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a sequence of %zu matrices; at least 1 expected, with "
                        "sources, gradients, weights and training states", g->count);
    }
    if (g->command->committed) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer is already committed");
    }
    if (g->command->device->metal != g->layer->device->metal) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer belongs to another device");
    }
    return MPSRNN_STATUS_OK;
}

mpsrnn_status mcy_gradient_check(mcy_gradient *g, mpsrnn_error *error)
{
    const mcy_cell *cell = &g->layer->cell;
    mpsrnn_status status = check_arguments(g, error);
    if (status == MPSRNN_STATUS_OK) {
        status = check_sources(g, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        g->rows = g->sources[0].rows;
        status = check_matrices(g, g->gradients, cell->output_channels, NO, "gradient", error);
    }
    if (status == MPSRNN_STATUS_OK && g->source_gradients) {
        status = check_matrices(g, g->source_gradients, cell->input_channels, YES, "source gradient", error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = check_training(g, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = check_carries(g, error);
    }
    if (status == MPSRNN_STATUS_OK) {
        status = mcy_training_check_weights(g->layer, g->weights, NO, g->layer->data_type, "weight", error);
    }
    return status == MPSRNN_STATUS_OK && g->weight_gradients ? check_weight_gradients(g, error) : status;
}
