// The LSTM over rows of a matrix.
#ifndef TWIN_MATRIX_LSTM_H
#define TWIN_MATRIX_LSTM_H
#include "matrix_cells.h"

namespace {
namespace twin {

// Sums of the gates, and the memory before.
struct lstm_sums {
    vf in, forget, cell, output, memory;
};

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
//
// Of COUNT vectors, the memories of all before the outputs of all: each alone is a long chain of dependent operations.
template <int COUNT> TWIN_INLINE void finish_usual_lstm(const lstm_sums (&sums)[COUNT], lstm_state (&next)[COUNT])
{
    vf o[COUNT];
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k) {
        const vf i = one_and_exp_minus(sums[k].in), f = one_and_exp_minus(sums[k].forget);
        const vf c = exp_twice_less_one(sums[k].cell);
        const vf i_by_c = i * (c + 2.0f);
        const vf inverse = 1.0f / (i_by_c * f);
        // Never a product of the memory with what is large.
        next[k].memory = sums[k].memory * (i_by_c * inverse) + (c * f) * inverse;
        o[k] = one_and_exp_minus(sums[k].output);
    }
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k) {
        const vf below = exp_twice_less_one(next[k].memory);
        next[k].output = below / (o[k] * (below + 2.0f));
    }
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
        for (; is_usual && i + 2 <= count && parts[i].runs && parts[i + 1].runs; i += 2) {
            lstm_state next[2];
            finish_usual_lstm<2>({sums_of(parts[i]), sums_of(parts[i + 1])}, next);
            store_usual(parts[i], next[0]);
            store_usual(parts[i + 1], next[1]);
        }
        for (; i < count; ++i)
            finish_part(parts[i]);
    }

    // The usual cell of one row, panels [panel, end). Returns the first that is not full and is left.
    uint32_t finish_row(const row_step &in, uint32_t panel, uint32_t end) const
    {
        const uint32_t full = params.channels / LANES < end ? params.channels / LANES : end;
        for (; panel + 4 <= full; panel += 4)
            finish_panels<4>(in, panel);
        for (; panel < full; ++panel)
            finish_panels<1>(in, panel);
        return panel;
    }

    // The usual cell of a batch's rows.
    template <class V> void finish_rows(const matrix_rows &r) const
    {
        const mpsrnn_matrix_step &step = r.in->table;
        const float *const sums = r.sums;
        const batch_matrix before = before_in(r, step.memory_in, step.memory_in_stride), memory = own_in(r, step.memory);
        const batch_operand<V> kept = operand_in<V>(r, OPERAND_MEMORY);
        const batch_output<V> output = output_in<V>(r);
        finish_all_rows(r.count, [=](auto count, size_t i) TWIN_INLINED {
            lstm_sums own[count.value];
            lstm_state next[count.value];
            vf c1[count.value], h1[count.value];
#pragma GCC unroll 4
            for (int k = 0; k < count.value; ++k)
                own[k] = sums_at(sums + (i + k) * PANEL, before.first ? before.get(i + k) : vf{});
            finish_usual_lstm<count.value>(own, next);
#pragma GCC unroll 4
            for (int k = 0; k < count.value; ++k) {
                c1[k] = next[k].memory;
                h1[k] = next[k].output;
            }
            memory.put(i, c1);
            kept.put(i, c1);
            output.put(i, h1);
        });
    }

    TWIN_INLINE void finish_part(const matrix_part &r) const
    {
        if (r.in->stage == 1)
            finish_output(r);
        else if (!r.runs)
            keep_state(r);
        else if (is_usual)
            finish_usual(r);
        else
            finish_gates(r);
    }

    TWIN_INLINE void keep_state(const matrix_part &r) const
    {
        store_state(r, output_before(r));
        store_memory(r, memory_before(r));
    }

    // `step`: between the gates; a panel that is full has a vector of each.
    TWIN_INLINE static lstm_sums sums_at(const float *sums, vf memory, size_t step = LANES)
    {
        return {load(sums + MPSRNN_GATE_INPUT * step), load(sums + MPSRNN_GATE_FORGET * step),
                load(sums + MPSRNN_GATE_CELL * step), load(sums + MPSRNN_GATE_OUTPUT * step), memory};
    }

    TWIN_INLINE lstm_sums sums_of(const matrix_part &r) const { return sums_at(r.sums, memory_before(r), r.in->gate_step); }

    void finish_usual(const matrix_part &r) const
    {
        lstm_state next[1];
        finish_usual_lstm<1>({sums_of(r)}, next);
        store_usual(r, next[0]);
    }

    template <int COUNT> TWIN_INLINE void finish_panels(const row_step &in, uint32_t panel) const
    {
        lstm_sums sums[COUNT];
        lstm_state next[COUNT];
#pragma GCC unroll 4
        for (uint32_t k = 0; k < COUNT; ++k) {
            const vf memory = row_before(in, in.table.memory_in, (panel + k) * LANES);
            sums[k] = sums_at(in.sums + (panel + k) * in.sums_step, memory);
        }
        finish_usual_lstm<COUNT>(sums, next);
#pragma GCC unroll 4
        for (uint32_t k = 0; k < COUNT; ++k)
            store_row_state(in, panel + k, next[k]);
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
