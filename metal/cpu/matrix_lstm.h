// The LSTM over rows of a matrix.
#ifndef TWIN_MATRIX_LSTM_H
#define TWIN_MATRIX_LSTM_H
#include "matrix_cells.h"

namespace {
namespace twin {

struct lstm_state {
    vf memory, output;
};

// 1 + e^-x, no more than a product of three such can hold.
TWIN_INLINE vf one_and_exp_minus(vf x)
{
    const power_of_two e = exp2_parts(minimum(x * -LOG2_E, broadcast(45.0f)));
    return 1.0f + (e.scale + e.rest);
}

// e^2x - 1, which does not cancel where x is small.
TWIN_INLINE vf exp_twice_less_one(vf x)
{
    const power_of_two e = exp2_parts(minimum(x * (2.0f * LOG2_E), broadcast(30.0f)));
    return (e.scale - 1.0f) + e.rest;
}

// The cell of sigmoids and hyperbolic tangents with two divisions instead of five.
//
// Error of the memory relative to |forget c0| and |in cell|, and of the output to what belongs to that memory, in units
// of 2^-24: 8, and 1.25 |x| more for a gate of x < 0. A gate is no smaller than 2^-45: that of 1 + |c0| besides.
TWIN_INLINE lstm_state finish_usual_lstm(vf sum_i, vf sum_f, vf sum_c, vf sum_o, vf c0)
{
    const vf i = one_and_exp_minus(sum_i), f = one_and_exp_minus(sum_f), o = one_and_exp_minus(sum_o);
    const vf c = exp_twice_less_one(sum_c);
    const vf i_by_c = i * (c + 2.0f);
    const vf inverse = 1.0f / (i_by_c * f);
    // Never a product of c0 with what is large.
    const vf c1 = c0 * (i_by_c * inverse) + (c * f) * inverse;
    const vf below = exp_twice_less_one(c1);
    return {c1, below / (o * (below + 2.0f))};
}

struct matrix_lstm : matrix_cell {
    static uint32_t gates(int stage) { return stage == 0 ? 4 : 1; }
    static bool has_input(int stage) { return stage == 0; }
    static uint32_t sources(int stage, matrix_source *to)
    {
        to[0] = stage == 0 ? matrix_source{1, OPERAND_OUTPUT} : matrix_source{0, OPERAND_MEMORY};
        to[1] = {2, OPERAND_MEMORY};
        return stage == 0 ? 2 : 1;
    }
    static uint32_t stages(const msl_twin_call *call) { return call->constants[MPSRNN_CONSTANT_SPLITS_OUTPUT] ? 2 : 1; }

    bool has_peephole, splits_output;

    matrix_lstm(const msl_twin_call &c, const matrix_plan &plan)
        : matrix_cell(c, plan), has_peephole(constant(MPSRNN_CONSTANT_HAS_PEEPHOLE)),
          splits_output(constant(MPSRNN_CONSTANT_SPLITS_OUTPUT))
    {
    }

    // Whether the gates are sigmoids and the rest plain hyperbolic tangents, as they are unless one asks for others.
    static bool has_usual_neurons(const msl_twin_call *call)
    {
        const uint32_t *constants = call->constants;
        const mpsrnn_cell_params &p = matrix_params_of(call, 0);
        return !constants[MPSRNN_CONSTANT_HAS_PEEPHOLE] && !constants[MPSRNN_CONSTANT_SPLITS_OUTPUT]
               && constants[MPSRNN_CONSTANT_NEURON_0] == SIGMOID && constants[MPSRNN_CONSTANT_NEURON_1] == SIGMOID
               && is_plain_tanh(call, 0, MPSRNN_GATE_CELL, MPSRNN_GATE_CELL)
               && constants[MPSRNN_CONSTANT_NEURON_3] == SIGMOID && constants[MPSRNN_CONSTANT_NEURON_OUTPUT] == TANH
               && p.output_a == 1.0f && p.output_neuron.b == 1.0f;
    }

    TWIN_INLINE void want(const matrix_stage_step &in, size_t row, size_t rows, uint32_t channel,
                          wanted_lines &wanted) const
    {
        const mpsrnn_matrix_step &step = in.table;
        want_rows<float>(step.memory_in, step.memory_in_stride, row, rows, channel, wanted);
        want_own(step.memory, row, rows, channel, wanted);
        want_output(in, row, rows, channel, wanted);
    }

    TWIN_INLINE vf peephole(vf cell, const float *rows) const
    {
        return has_peephole ? load(rows + MPSRNN_CHANNEL_PEEPHOLE * PANEL) * cell : vf{};
    }

    TWIN_INLINE vf cell_to_output(vf c1) const
    {
        return activate(constant(MPSRNN_CONSTANT_NEURON_OUTPUT), c1, broadcast(params.output_a), params.output_neuron.b,
                        params.output_neuron.c);
    }

    TWIN_INLINE void finish(const matrix_part *parts, int count) const
    {
        int i = 0;
        // Two at a time: each is a long chain of dependent operations.
        for (; is_usual && i + 2 <= count && parts[i].runs && parts[i + 1].runs; i += 2) {
            const lstm_state first = usual_state(parts[i]), second = usual_state(parts[i + 1]);
            store_usual(parts[i], first);
            store_usual(parts[i + 1], second);
        }
        for (; i < count; ++i)
            finish_part(parts[i]);
    }

    // The usual cell of one row, panels [panel, end), two at a time likewise. Returns the first that is not full and is
    // left.
    uint32_t finish_row(const row_step &in, uint32_t panel, uint32_t end) const
    {
        const uint32_t full = params.channels / LANES < end ? params.channels / LANES : end;
        for (; panel + 2 <= full; panel += 2) {
            const lstm_state first = usual_state(in, panel), second = usual_state(in, panel + 1);
            store_row_state(in, panel, first);
            store_row_state(in, panel + 1, second);
        }
        for (; panel < full; ++panel)
            store_row_state(in, panel, usual_state(in, panel));
        return panel;
    }

    // The usual cell of a batch's rows, two at a time likewise.
    void finish_rows(const matrix_rows &r) const
    {
        size_t i = 0;
        for (; i + 2 <= r.count; i += 2) {
            const lstm_state first = usual_state(r, i), second = usual_state(r, i + 1);
            store_state_in(r, i, first);
            store_state_in(r, i + 1, second);
        }
        if (i < r.count)
            store_state_in(r, i, usual_state(r, i));
    }

    TWIN_INLINE void finish_part(const matrix_part &r) const
    {
        if (r.in->stage == 1)
            finish_output(r);
        else if (!r.runs)
            keep_state(r);
        else if (is_usual)
            store_usual(r, usual_state(r));
        else
            finish_gates(r);
    }

    TWIN_INLINE void keep_state(const matrix_part &r) const
    {
        store_state(r, output_before(r));
        store_memory(r, memory_before(r));
    }

    // `step`: between the gates; a panel that is full has a vector of each.
    TWIN_INLINE static lstm_state usual_state(const float *sums, vf c0, size_t step = LANES)
    {
        return finish_usual_lstm(load(sums + MPSRNN_GATE_INPUT * step), load(sums + MPSRNN_GATE_FORGET * step),
                                 load(sums + MPSRNN_GATE_CELL * step), load(sums + MPSRNN_GATE_OUTPUT * step), c0);
    }

    TWIN_INLINE lstm_state usual_state(const matrix_part &r) const
    {
        return usual_state(r.sums, memory_before(r), r.in->gate_step);
    }

    TWIN_INLINE lstm_state usual_state(const row_step &in, uint32_t panel) const
    {
        return usual_state(in.sums + panel * in.sums_step, row_before(in, in.table.memory_in, panel * LANES));
    }

    TWIN_INLINE lstm_state usual_state(const matrix_rows &r, size_t i) const
    {
        const mpsrnn_matrix_step &step = r.in->table;
        return usual_state(r.sums + i * PANEL, before_in(r, i, step.memory_in, step.memory_in_stride));
    }

    TWIN_INLINE void store_state_in(const matrix_rows &r, size_t i, const lstm_state &state) const
    {
        store_in(r, i, r.in->table.memory, state.memory);
        keep_in(r, i, OPERAND_MEMORY, state.memory);
        store_output_in(r, i, state.output);
    }

    TWIN_INLINE void store_row_state(const row_step &in, uint32_t panel, const lstm_state &state) const
    {
        const uint32_t channel = panel * LANES;
        store_row(in.table.memory, in.after[OPERAND_MEMORY], in.table.kept_memory, channel, state.memory);
        store_row_output(in, channel, state.output);
    }

    TWIN_INLINE void store_usual(const matrix_part &r, const lstm_state &state) const
    {
        for (int gate = 0; keeps_sums && gate < 4; ++gate)
            store_sum(r, 4, uint32_t(gate), load(r.sums + gate * r.in->gate_step));
        store_memory(r, state.memory);
        store_output(r, state.output);
    }

    __attribute__((noinline)) void finish_gates(const matrix_part &r) const
    {
        const size_t step = r.in->gate_step;
        const vf c0 = memory_before(r);
        vf gate[3];
        for (int g = 0; g < 3; ++g) {
            const float *rows = r.rows + g * step;
            const vf sum = load(r.sums + g * step) + peephole(c0, rows);
            store_sum(r, 4, uint32_t(g), sum);
            gate[g] = neuron(constant(MPSRNN_CONSTANT_NEURON_0 + g), sum, rows, params.neurons[g]);
        }
        const vf c1 = gate[MPSRNN_GATE_FORGET] * c0 + gate[MPSRNN_GATE_INPUT] * gate[MPSRNN_GATE_CELL];
        store_memory(r, c1);
        const float *rows = r.rows + MPSRNN_GATE_OUTPUT * step;
        const vf sum = load(r.sums + MPSRNN_GATE_OUTPUT * step) + peephole(c1, rows);
        if (splits_output) {
            store_own(r.in->table.gate, r, sum);
            return;
        }
        store_sum(r, 4, MPSRNN_GATE_OUTPUT, sum);
        const vf out = neuron(constant(MPSRNN_CONSTANT_NEURON_3), sum, rows, params.neurons[MPSRNN_GATE_OUTPUT]);
        store_output(r, out * cell_to_output(c1));
    }

    // The output gate with a product with the new cell.
    __attribute__((noinline)) void finish_output(const matrix_part &r) const
    {
        if (!r.runs)
            return;
        const vf sum = load(r.sums) + load_own(r.in->table.gate, r);
        const vf c1 = load_own(r.in->table.memory, r);
        store_sum(r, 4, MPSRNN_GATE_OUTPUT, sum);
        const mpsrnn_cell_params &output_params = matrix_params_of(&call, 1);
        const vf out = neuron(constant(MPSRNN_CONSTANT_NEURON_3), sum, r.rows, output_params.neurons[0]);
        store_output(r, out * cell_to_output(c1));
    }
};

} // namespace twin
} // namespace
#endif
