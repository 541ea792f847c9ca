/* Which kernels make up a cell, and which convolutions of which gates each of them adds up. */
#import "shim.h"
#include <string.h>

enum { UPDATE, RESET, CANDIDATE };              /* the GRU's gates in mpsrnn_cell */

static BOOL has_any(const mpsrnn_cell *cell, int first, int last, size_t offset)
{
    for (int g = first; g <= last; ++g) {
        const mpsrnn_convolution *c = (const void *)((const char *)&cell->gates[g] + offset);
        if (c->weights) {
            return YES;
        }
    }
    return NO;
}

#define HAS_RECURRENT(cell, first, last) has_any(cell, first, last, offsetof(mpsrnn_gate, recurrent))
#define HAS_MEMORY(cell, first, last) has_any(cell, first, last, offsetof(mpsrnn_gate, memory))

/* A stage of the gates first...last: W on the cell's input, U and V on images of its output's channels. */
static mcy_stage_plan plan_stage(const mpsrnn_cell *cell, const char *kernel, int first, int last, uint32_t term_count)
{
    mcy_stage_plan plan;
    memset(&plan, 0, sizeof plan);
    plan.kernel = kernel;
    plan.gate_count = (uint32_t)(last - first + 1);
    plan.term_count = term_count;
    plan.has_bias = YES;
    plan.term_channels[0] = cell->input_channels;
    plan.term_channels[1] = plan.term_channels[2] = cell->output_channels;
    for (uint32_t g = 0; g < plan.gate_count; ++g) {
        const mpsrnn_gate *gate = &cell->gates[first + (int)g];
        plan.gates[g] = gate;
        plan.terms[g] = &gate->input;
        plan.terms[plan.gate_count + g] = &gate->recurrent;
        plan.terms[2 * plan.gate_count + g] = &gate->memory;
    }
    return plan;
}

static mpsrnn_status add_stage(MCYDevice *device, const mpsrnn_cell *cell, const mcy_stage_plan *plan, mcy_cell *out,
                               mpsrnn_error *error)
{
    mpsrnn_status status = mcy_stage_create(device, cell, plan, &out->stages[out->stage_count], error);
    out->stage_count += status == MPSRNN_STATUS_OK;
    return status;
}

static mpsrnn_status plan_single_gate(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error)
{
    const mcy_stage_plan plan = plan_stage(cell, "single_gate", 0, 0, 2);
    out->library = "single_gate";
    out->has_recurrent = out->reads_output = HAS_RECURRENT(cell, 0, 0);
    return add_stage(device, cell, &plan, out, error);
}

static mpsrnn_status plan_gru(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error)
{
    const mcy_stage_plan gates = plan_stage(cell, "gru_gates", UPDATE, RESET, 2);
    const mcy_stage_plan output = plan_stage(cell, "gru_output", CANDIDATE, CANDIDATE, 3);
    out->library = "gru";
    out->has_recurrent = HAS_RECURRENT(cell, CANDIDATE, CANDIDATE);
    out->has_memory = HAS_MEMORY(cell, CANDIDATE, CANDIDATE);
    out->reads_output = YES;
    mpsrnn_status status = add_stage(device, cell, &gates, out, error);
    return status == MPSRNN_STATUS_OK ? add_stage(device, cell, &output, out, error) : status;
}

static mpsrnn_status plan_lstm(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error)
{
    const BOOL splits_output = HAS_MEMORY(cell, MPSRNN_GATE_OUTPUT, MPSRNN_GATE_OUTPUT);
    mcy_stage_plan gates = plan_stage(cell, "lstm", MPSRNN_GATE_INPUT, MPSRNN_GATE_OUTPUT, 3);
    gates.terms[2 * gates.gate_count + MPSRNN_GATE_OUTPUT] = NULL;      /* reads the new cell */
    out->library = "lstm";
    out->has_recurrent = out->reads_output = HAS_RECURRENT(cell, MPSRNN_GATE_INPUT, MPSRNN_GATE_OUTPUT);
    out->has_memory = HAS_MEMORY(cell, MPSRNN_GATE_INPUT, MPSRNN_GATE_CELL);
    mpsrnn_status status = add_stage(device, cell, &gates, out, error);
    if (status != MPSRNN_STATUS_OK || !splits_output) {
        return status;
    }
    out->stages[0]->constants.values[MPSRNN_CONSTANT_SPLITS_OUTPUT] = 1;
    mcy_stage_plan output = plan_stage(cell, "lstm_output", MPSRNN_GATE_OUTPUT, MPSRNN_GATE_OUTPUT, 1);
    output.terms[0] = &cell->gates[MPSRNN_GATE_OUTPUT].memory;
    output.term_channels[0] = cell->output_channels;
    output.has_bias = NO;                       /* the first stage added it */
    return add_stage(device, cell, &output, out, error);
}

mpsrnn_status mcy_cell_create(MCYDevice *device, const mpsrnn_cell *cell, mcy_cell *out, mpsrnn_error *error)
{
    if (cell->input_channels - 1 >= INT32_MAX || cell->output_channels - 1 >= INT32_MAX) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "cell of %u input and %u output channels; 1 to %d expected",
                        cell->input_channels, cell->output_channels, INT32_MAX);
    }
    if (cell->unit_transform && cell->input_channels != cell->output_channels) {
        return mcy_fail(error, MPSRNN_STATUS_BAD_ARGUMENT, "unit-transform mode with %u input and %u output channels; "
                        "equal numbers expected", cell->input_channels, cell->output_channels);
    }
    memset(out, 0, sizeof *out);
    out->kind = cell->kind;
    out->is_backward = cell->backward;
    out->input_channels = cell->input_channels;
    out->output_channels = cell->output_channels;
    mpsrnn_status status = cell->kind == MPSRNN_CELL_SINGLE_GATE ? plan_single_gate(device, cell, out, error)
                         : cell->kind == MPSRNN_CELL_GRU         ? plan_gru(device, cell, out, error)
                                                                 : plan_lstm(device, cell, out, error);
    if (status != MPSRNN_STATUS_OK) {
        mcy_cell_destroy(out);
    }
    return status;
}

void mcy_cell_destroy(mcy_cell *cell)
{
    for (size_t i = 0; i < cell->stage_count; ++i) {
        [cell->stages[i] release];
    }
    cell->stage_count = 0;
}
