// What becomes of the sums of the gates of a matrix cell: one class per kernel, with its stages, terms and formulae.
#ifndef TWIN_MATRIX_CELLS_H
#define TWIN_MATRIX_CELLS_H
#include "activation.h"
#include "matrix_multiply.h"

namespace {
namespace twin {

// A recurrent term: its index among the kernel's, and what it multiplies.
struct matrix_source {
    uint32_t index;
    matrix_operand operand;
};

// A stage of a step.
struct matrix_stage_step {
    const mpsrnn_matrix_step &table;
    int stage;
    size_t gate_step;           // floats between the sums of neighbouring gates
    void *const *after;         // operands that the step makes
};

// A vector of channels of a row: its place in the batch and in the block of rows, and where the sums of its gates and
// the panel's channel rows begin.
struct matrix_part {
    const matrix_stage_step *in;
    size_t row, local;
    lanes at;
    bool runs, has_state;
    const float *sums, *rows;
};

struct matrix_cell {
    const msl_twin_call &call;
    const mpsrnn_cell_params &params;
    size_t operand_step;
    size_t own_stride;
    bool keeps_sums, has_destination, destination_half, adds, is_bfloat;

    matrix_cell(const msl_twin_call &c, const matrix_plan &plan)
        : call(c), params(matrix_params_of(&c, 0)), operand_step(size_t(plan.rows) * 4),
          own_stride(size_t(params.slices) * 4),
          keeps_sums(constant(MPSRNN_CONSTANT_KEEPS_SUMS)), has_destination(constant(MPSRNN_CONSTANT_HAS_DESTINATION)),
          destination_half(constant(MPSRNN_CONSTANT_DESTINATION_HALF)), adds(constant(MPSRNN_CONSTANT_ADDS)),
          is_bfloat(plan.is_bfloat)
    {
    }

    TWIN_INLINE uint32_t constant(int index) const { return call.constants[index]; }

    // Rows of a matrix that the table names by address, from a channel on, a line of each.
    template <class E>
    TWIN_INLINE static void want_rows(uint64_t address, size_t stride, size_t row, size_t rows, uint32_t channel,
                                      wanted_lines &wanted)
    {
        if (address != 0)
            wanted.add(row_at<E>(address, row, stride) + channel, stride * sizeof(E), rows);
    }

    TWIN_INLINE void want_own(uint64_t matrix, size_t row, size_t rows, uint32_t channel, wanted_lines &wanted) const
    {
        want_rows<float>(matrix, own_stride, row, rows, channel, wanted);
    }

    TWIN_INLINE void want_output(const matrix_stage_step &in, size_t row, size_t rows, uint32_t channel,
                                 wanted_lines &wanted) const
    {
        const mpsrnn_matrix_step &step = in.table;
        want_own(step.output, row, rows, channel, wanted);
        if (has_destination && destination_half)
            want_rows<half_bits>(step.destination, step.destination_stride, row, rows, channel, wanted);
        else if (has_destination)
            want_rows<float>(step.destination, step.destination_stride, row, rows, channel, wanted);
    }

    // `rows`: the channel rows of the panel, from the gate's first lane on.
    TWIN_INLINE vf neuron(uint32_t type, vf sum, const float *rows, mpsrnn_neuron_params bc) const
    {
        return activate(type, sum, load(rows + MPSRNN_CHANNEL_A * PANEL), bc.b, bc.c);
    }

    TWIN_INLINE vf output_before(const matrix_part &r) const
    {
        const mpsrnn_matrix_step &step = r.in->table;
        return r.has_state ? load_lanes(row_at<float>(step.output_in, r.row, step.output_in_stride), r.at) : vf{};
    }

    TWIN_INLINE vf memory_before(const matrix_part &r) const
    {
        const mpsrnn_matrix_step &step = r.in->table;
        return r.has_state ? load_lanes(row_at<float>(step.memory_in, r.row, step.memory_in_stride), r.at) : vf{};
    }

    TWIN_INLINE vf load_own(uint64_t matrix, const matrix_part &r) const
    {
        return load_lanes(row_at<float>(matrix, r.row, own_stride), r.at);
    }

    TWIN_INLINE void store_own(uint64_t matrix, const matrix_part &r, vf value) const
    {
        store_lanes(row_at<float>(matrix, r.row, own_stride), r.at, value);
    }

    TWIN_INLINE void store_sum(const matrix_part &r, uint32_t gates, uint32_t gate, vf sum) const
    {
        if (keeps_sums)
            store_lanes(row_at<float>(r.in->table.sums, r.row * gates + gate, own_stride), r.at, sum);
    }

    TWIN_INLINE void keep_operand(void *operand, const matrix_part &r, vf value) const
    {
        if (!operand)
            return;
        if (is_bfloat)
            store_operand(static_cast<bfloat *>(operand), operand_step, params.slices, r.local, r.at, value);
        else
            store_operand(static_cast<float *>(operand), operand_step, params.slices, r.local, r.at, value);
    }

    TWIN_INLINE void store_memory(const matrix_part &r, vf c1) const
    {
        store_own(r.in->table.memory, r, c1);
        keep_operand(r.in->after[OPERAND_MEMORY], r, c1);
        if (r.in->table.is_kept)
            store_lanes(row_at<float>(r.in->table.kept_memory, r.row, r.in->table.kept_memory_stride), r.at, c1);
    }

    TWIN_INLINE void store_state(const matrix_part &r, vf h1) const
    {
        store_own(r.in->table.output, r, h1);
        keep_operand(r.in->after[OPERAND_OUTPUT], r, h1);
        if (r.in->table.is_kept)
            store_lanes(row_at<float>(r.in->table.kept_output, r.row, r.in->table.kept_output_stride), r.at, h1);
    }

    TWIN_INLINE void store_output(const matrix_part &r, vf h1) const
    {
        store_state(r, h1);
        if (!has_destination)
            return;
        const mpsrnn_matrix_step &step = r.in->table;
        const vf result = adds ? load_own(r.in->table.addend, r) + h1 : h1;
        if (destination_half)
            store_lanes(row_at<half_bits>(step.destination, r.row, step.destination_stride), r.at, result);
        else
            store_lanes(row_at<float>(step.destination, r.row, step.destination_stride), r.at, result);
    }
};

struct matrix_single_gate : matrix_cell {
    static uint32_t gates(int) { return 1; }
    static bool has_input(int) { return true; }
    static uint32_t sources(int, matrix_source *to)
    {
        to[0] = {1, OPERAND_OUTPUT};
        return 1;
    }
    static uint32_t stages(const msl_twin_call *) { return 1; }
    static bool has_usual_neurons(const msl_twin_call *) { return false; }

    matrix_single_gate(const msl_twin_call &c, const matrix_plan &plan) : matrix_cell(c, plan) {}

    TWIN_INLINE void want(const matrix_stage_step &in, size_t row, size_t rows, uint32_t channel,
                          wanted_lines &wanted) const
    {
        want_output(in, row, rows, channel, wanted);
    }

    TWIN_INLINE void finish(const matrix_part *parts, int count) const
    {
        for (int i = 0; i < count; ++i)
            finish_part(parts[i]);
    }

    TWIN_INLINE void finish_part(const matrix_part &r) const
    {
        if (!r.runs) {
            store_state(r, output_before(r));
            return;
        }
        const vf sum = load(r.sums);
        store_sum(r, 1, 0, sum);
        store_output(r, neuron(constant(MPSRNN_CONSTANT_NEURON_0), sum, r.rows, params.neurons[0]));
    }
};

struct matrix_gru : matrix_cell {
    static uint32_t gates(int stage) { return stage == 0 ? 2 : 1; }
    static bool has_input(int) { return true; }
    static uint32_t sources(int stage, matrix_source *to)
    {
        to[0] = {1, stage == 0 ? OPERAND_OUTPUT : OPERAND_RESET};
        to[1] = {2, OPERAND_UPDATED};
        return stage == 0 ? 1 : 2;
    }
    static uint32_t stages(const msl_twin_call *) { return 2; }
    static bool has_usual_neurons(const msl_twin_call *) { return false; }

    const mpsrnn_cell_params &output_params;
    bool flips, has_p_norm;

    matrix_gru(const msl_twin_call &c, const matrix_plan &plan)
        : matrix_cell(c, plan), output_params(matrix_params_of(&c, 1)), flips(constant(MPSRNN_CONSTANT_FLIP)),
          has_p_norm(constant(MPSRNN_CONSTANT_P_NORM))
    {
    }

    TWIN_INLINE void want(const matrix_stage_step &in, size_t row, size_t rows, uint32_t channel,
                          wanted_lines &wanted) const
    {
        const mpsrnn_matrix_step &step = in.table;
        want_rows<float>(step.output_in, step.output_in_stride, row, rows, channel, wanted);
        want_own(step.gate, row, rows, channel, wanted);
        if (in.stage == 0)
            want_own(step.reset, row, rows, channel, wanted);
        else
            want_output(in, row, rows, channel, wanted);
    }

    TWIN_INLINE void finish(const matrix_part *parts, int count) const
    {
        for (int i = 0; i < count; ++i)
            parts[i].in->stage == 0 ? finish_gates(parts[i]) : finish_output(parts[i]);
    }

    TWIN_INLINE void finish_gates(const matrix_part &r) const
    {
        if (!r.runs)
            return;
        const size_t step = r.in->gate_step;
        const vf sum_z = load(r.sums), sum_r = load(r.sums + step);
        store_sum(r, 3, MPSRNN_GATE_UPDATE, sum_z);
        store_sum(r, 3, MPSRNN_GATE_RESET, sum_r);
        const vf z = neuron(constant(MPSRNN_CONSTANT_NEURON_0), sum_z, r.rows, params.neurons[MPSRNN_GATE_UPDATE]);
        const vf h0 = output_before(r);
        store_own(r.in->table.gate, r, z);
        if (output_params.terms[1].taps != 0) {
            const vf reset = neuron(constant(MPSRNN_CONSTANT_NEURON_1), sum_r, r.rows + step,
                                    params.neurons[MPSRNN_GATE_RESET]) * h0;
            keep_operand(r.in->after[OPERAND_RESET], r, reset);
            store_own(r.in->table.reset, r, reset);
        }
        if (output_params.terms[2].taps != 0) {
            keep_operand(r.in->after[OPERAND_UPDATED], r, z * h0);
            store_own(r.in->table.updated, r, z * h0);
        }
    }

    TWIN_INLINE void finish_output(const matrix_part &r) const
    {
        const vf h0 = output_before(r);
        if (!r.runs) {
            store_state(r, h0);
            return;
        }
        const vf sum = load(r.sums);
        store_sum(r, 3, 2, sum);
        const vf h = neuron(constant(MPSRNN_CONSTANT_NEURON_2), sum, r.rows, output_params.neurons[0]);
        const vf z = load_own(r.in->table.gate, r);
        const vf s = has_p_norm ? rest_of_norm(z) : 1.0f - z;
        store_output(r, flips ? s * h0 + z * h : s * h + z * h0);
    }

    // (1 - z^p)^(1/p), as the kernel has it.
    __attribute__((noinline)) vf rest_of_norm(vf z) const
    {
        f4 parts[TEXELS];
        for (int i = 0; i < TEXELS; ++i) {
            metal::float4 value(0.0f);
            value.v = part(z, i);
            const float p = output_params.p_norm;
            parts[i] = metal::pow(1.0f - metal::pow(value, metal::float4(p)), metal::float4(1.0f / p)).v;
        }
        return join(parts);
    }
};

} // namespace twin
} // namespace
#endif
