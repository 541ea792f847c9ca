// What becomes of the sums of the gates of a matrix cell: one class per kernel, with its stages, terms and formulae.
#ifndef TWIN_MATRIX_CELLS_H
#define TWIN_MATRIX_CELLS_H
#include "activation.h"
#include "matrix_rows.h"

namespace {
namespace twin {

// A recurrent term: its index among the kernel's, and what it multiplies.
struct matrix_source {
    uint32_t index;
    matrix_operand operand;
};

// One row at one step: its rows of the table's matrices, and its place in the operands.
struct matrix_row {
    const mpsrnn_matrix_step &step;
    size_t row, local;          // in the batch, and in the block of rows
    bool runs, has_state;
    float *const *before;       // operands: of the state before the step, and what the step makes
    float *const *after;
};

struct matrix_cell {
    const msl_twin_call &call;
    const mpsrnn_cell_params &params;
    size_t operand_step;
    size_t own_stride;
    bool keeps_sums, has_destination, destination_half, adds;

    matrix_cell(const msl_twin_call &c, const matrix_plan &plan)
        : call(c), params(matrix_params_of(&c, 0)), operand_step(size_t(plan.rows) * 4), own_stride(size_t(params.slices) * 4),
          keeps_sums(constant(MPSRNN_CONSTANT_KEEPS_SUMS)), has_destination(constant(MPSRNN_CONSTANT_HAS_DESTINATION)),
          destination_half(constant(MPSRNN_CONSTANT_DESTINATION_HALF)), adds(constant(MPSRNN_CONSTANT_ADDS))
    {
    }

    TWIN_INLINE uint32_t constant(int index) const { return call.constants[index]; }

    // `rows`: the channel rows of the panel, from the gate's first lane on.
    TWIN_INLINE vf neuron(uint32_t type, vf sum, const float *rows, mpsrnn_neuron_params bc) const
    {
        return activate(type, sum, load(rows + MPSRNN_CHANNEL_A * PANEL), bc.b, bc.c);
    }

    TWIN_INLINE vf output_before(const matrix_row &r, lanes at) const
    {
        return r.has_state ? load_lanes(row_at<float>(r.step.output_in, r.row, r.step.output_in_stride), at) : vf{};
    }

    TWIN_INLINE vf memory_before(const matrix_row &r, lanes at) const
    {
        return r.has_state ? load_lanes(row_at<float>(r.step.memory_in, r.row, r.step.memory_in_stride), at) : vf{};
    }

    TWIN_INLINE vf load_own(uint64_t matrix, const matrix_row &r, lanes at) const
    {
        return load_lanes(row_at<float>(matrix, r.row, own_stride), at);
    }

    TWIN_INLINE void store_own(uint64_t matrix, const matrix_row &r, lanes at, vf value) const
    {
        store_lanes(row_at<float>(matrix, r.row, own_stride), at, value);
    }

    TWIN_INLINE void store_sum(const matrix_row &r, uint32_t gates, uint32_t gate, lanes at, vf sum) const
    {
        if (keeps_sums)
            store_lanes(row_at<float>(r.step.sums, r.row * gates + gate, own_stride), at, sum);
    }

    TWIN_INLINE void keep_operand(float *operand, const matrix_row &r, lanes at, vf value) const
    {
        if (operand)
            store_operand(operand, operand_step, params.slices, r.local, at, value);
    }

    TWIN_INLINE void store_memory(const matrix_row &r, lanes at, vf c1) const
    {
        store_own(r.step.memory, r, at, c1);
        keep_operand(r.after[OPERAND_MEMORY], r, at, c1);
        if (r.step.is_kept)
            store_lanes(row_at<float>(r.step.kept_memory, r.row, r.step.kept_memory_stride), at, c1);
    }

    TWIN_INLINE void store_state(const matrix_row &r, lanes at, vf h1) const
    {
        store_own(r.step.output, r, at, h1);
        keep_operand(r.after[OPERAND_OUTPUT], r, at, h1);
        if (r.step.is_kept)
            store_lanes(row_at<float>(r.step.kept_output, r.row, r.step.kept_output_stride), at, h1);
    }

    TWIN_INLINE void store_output(const matrix_row &r, lanes at, vf h1) const
    {
        store_state(r, at, h1);
        if (!has_destination)
            return;
        const vf result = adds ? load_own(r.step.addend, r, at) + h1 : h1;
        if (destination_half)
            store_lanes(row_at<half_bits>(r.step.destination, r.row, r.step.destination_stride), at, result);
        else
            store_lanes(row_at<float>(r.step.destination, r.row, r.step.destination_stride), at, result);
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

    TWIN_INLINE void finish(int, const matrix_row &r, lanes at, const float *sums, size_t, const float *rows) const
    {
        if (!r.runs) {
            store_state(r, at, output_before(r, at));
            return;
        }
        const vf sum = load(sums);
        store_sum(r, 1, 0, at, sum);
        store_output(r, at, neuron(constant(MPSRNN_CONSTANT_NEURON_0), sum, rows, params.neurons[0]));
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

    // `step` floats lie between the gates of a stage.
    TWIN_INLINE void finish(int stage, const matrix_row &r, lanes at, const float *sums, size_t step,
                            const float *rows) const
    {
        stage == 0 ? finish_gates(r, at, sums, step, rows) : finish_output(r, at, sums, rows);
    }

    TWIN_INLINE void finish_gates(const matrix_row &r, lanes at, const float *sums, size_t step, const float *rows) const
    {
        if (!r.runs)
            return;
        const vf sum_z = load(sums), sum_r = load(sums + step);
        store_sum(r, 3, MPSRNN_GATE_UPDATE, at, sum_z);
        store_sum(r, 3, MPSRNN_GATE_RESET, at, sum_r);
        const vf z = neuron(constant(MPSRNN_CONSTANT_NEURON_0), sum_z, rows, params.neurons[MPSRNN_GATE_UPDATE]);
        const vf h0 = output_before(r, at);
        store_own(r.step.gate, r, at, z);
        if (output_params.terms[1].taps != 0) {
            const vf reset = neuron(constant(MPSRNN_CONSTANT_NEURON_1), sum_r, rows + step,
                                    params.neurons[MPSRNN_GATE_RESET]) * h0;
            keep_operand(r.after[OPERAND_RESET], r, at, reset);
            store_own(r.step.reset, r, at, reset);
        }
        if (output_params.terms[2].taps != 0) {
            keep_operand(r.after[OPERAND_UPDATED], r, at, z * h0);
            store_own(r.step.updated, r, at, z * h0);
        }
    }

    TWIN_INLINE void finish_output(const matrix_row &r, lanes at, const float *sums, const float *rows) const
    {
        const vf h0 = output_before(r, at);
        if (!r.runs) {
            store_state(r, at, h0);
            return;
        }
        const vf sum = load(sums);
        store_sum(r, 3, 2, at, sum);
        const vf h = neuron(constant(MPSRNN_CONSTANT_NEURON_2), sum, rows, output_params.neurons[0]);
        const vf z = load_own(r.step.gate, r, at);
        const vf s = has_p_norm ? rest_of_norm(z) : 1.0f - z;
        store_output(r, at, flips ? s * h0 + z * h : s * h + z * h0);
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
