/* What must hold of a sequence of matrices before the kernels follow its pointers. Python has checked with better
 * words; this keeps a caller of the contract from undefined behaviour. */
#import "matrix_sequence.h"

static mpsrnn_status check_steps(const mcy_matrix_sequence *q, mpsrnn_error *error)
{
    const mpsrnn_matrix *first = &q->sources[0];
    const uint32_t inputs = q->cells[0]->input_channels;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; t < q->count && status == MPSRNN_STATUS_OK; ++t) {
        const mpsrnn_matrix *source = &q->sources[t];
        status = mcy_matrix_check(source, q->device, 0, inputs, "source", t, error);
        if (status == MPSRNN_STATUS_OK && (source->data_type != first->data_type
                                           || (t > 0 && source->rows > q->sources[t - 1].rows))) {
            status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "source matrix %zu: %u rows of type %#x; the type of "
                              "the first expected, and no more rows than the one before", t, source->rows,
                              source->data_type);
        }
    }
    return status;
}

static mpsrnn_status check_destinations(const mcy_matrix_sequence *q, mpsrnn_error *error)
{
    const uint32_t outputs = q->cells[q->cell_count - 1]->output_channels;
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t t = 0; q->destinations && t < q->count && status == MPSRNN_STATUS_OK; ++t) {
        const mpsrnn_matrix *destination = &q->destinations[t];
        status = mcy_matrix_check(destination, q->device, 0, outputs, "destination", t, error);
        if (status == MPSRNN_STATUS_OK && (destination->data_type != q->destinations[0].data_type
                                           || destination->rows < q->sources[t].rows)) {
            status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "destination matrix %zu: %u rows of type %#x; the "
                              "type of the first expected, and at least the %u rows of its source", t,
                              destination->rows, destination->data_type, q->sources[t].rows);
        }
    }
    return status;
}

static mpsrnn_status check_part(const mcy_matrix_sequence *q, const mpsrnn_matrix *part, uint32_t columns,
                                const char *what, size_t index, mpsrnn_error *error)
{
    mpsrnn_status status = mcy_matrix_check(part, q->device, q->rows, columns, what, index, error);
    if (status == MPSRNN_STATUS_OK && part->data_type != MPSRNN_FLOAT32) {
        status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: a state is float32", what, index);
    }
    return status;
}

/* The states of one step: h of every cell of the stack, and c of the LSTMs. */
static mpsrnn_status check_states(const mcy_matrix_sequence *q, const mpsrnn_matrix_state *states, const char *what,
                                  mpsrnn_error *error)
{
    mpsrnn_status status = MPSRNN_STATUS_OK;
    for (size_t l = 0; l < q->cell_count && status == MPSRNN_STATUS_OK; ++l) {
        const mcy_cell *cell = q->cells[l];
        const mpsrnn_matrix_state *state = &states[cell->index];
        status = check_part(q, &state->output, cell->output_channels, what, cell->index, error);
        if (status == MPSRNN_STATUS_OK && cell->kind == MPSRNN_CELL_LSTM) {
            status = check_part(q, &state->memory, cell->output_channels, what, cell->index, error);
        } else if (status == MPSRNN_STATUS_OK && state->memory.buffer) {
            status = mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%s matrix %zu: only an LSTM has a memory cell", what,
                              cell->index);
        }
    }
    return status;
}

static mpsrnn_status check_all_states(const mcy_matrix_sequence *q, mpsrnn_error *error)
{
    if (q->state_count > 1 && q->state_count != q->count) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "%zu states of %zu time steps; 0, 1 or all expected",
                        q->state_count, q->count);
    }
    if (q->state_count > 0 && !q->states_out) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "no matrices for %zu states", q->state_count);
    }
    mpsrnn_status status = q->state_in ? check_states(q, q->state_in, "input state", error) : MPSRNN_STATUS_OK;
    for (size_t i = 0; i < q->state_count && status == MPSRNN_STATUS_OK; ++i) {
        status = check_states(q, q->states_out + i * q->layer_count, "output state", error);
    }
    return status;
}

mpsrnn_status mcy_matrix_sequence_check(mcy_matrix_sequence *q, mpsrnn_error *error)
{
    if (q->count == 0 || q->count > UINT32_MAX || !q->sources) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "a sequence of %zu matrices%s; at least 1 expected",
                        q->count, q->sources ? "" : " that are absent");
    }
    if (q->command->committed) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer is already committed");
    }
    if (q->command->device->metal != q->device->metal) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "the command buffer belongs to another device");
    }
    for (size_t l = 1; l < q->cell_count; ++l) {
        if (q->cells[l]->input_channels != q->cells[l - 1]->output_channels) {
            return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "layer %zu reads %u channels, the layer below makes %u",
                            q->cells[l]->index, q->cells[l]->input_channels, q->cells[l - 1]->output_channels);
        }
    }
    q->rows = q->sources[0].rows;
    mpsrnn_status status = check_steps(q, error);
    if (status == MPSRNN_STATUS_OK) {
        status = check_destinations(q, error);
    }
    return status == MPSRNN_STATUS_OK ? check_all_states(q, error) : status;
}
