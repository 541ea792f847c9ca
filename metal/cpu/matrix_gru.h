// The GRU over rows of a matrix.
#ifndef TWIN_MATRIX_GRU_H
#define TWIN_MATRIX_GRU_H
#include "matrix_cells.h"

namespace {
namespace twin {

// Both gates of COUNT vectors; those of one and the same are always made alike.
template <int COUNT>
TWIN_INLINE void finish_usual_gates(const vf (&update)[COUNT], const vf (&reset)[COUNT], usual_gates (&gates)[COUNT])
{
    vf farthest = {};
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k)
        farthest = largest(farthest, largest(absolute(update[k]), absolute(reset[k])));
    const bool are_near = all_below(farthest, FAR);
    if (__builtin_expect(!are_near, false)) {
        for (int k = 0; k < COUNT; ++k)
            gates[k] = usual_gates_of(update[k], reset[k]);
        return;
    }
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k)
        gates[k] = near_gates_of(update[k], reset[k]);
}

template <int COUNT> TWIN_INLINE void finish_usual_candidates(const vf (&sums)[COUNT], vf (&candidates)[COUNT])
{
    vf farthest = {};
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k)
        farthest = largest(farthest, absolute(sums[k]));
    const bool are_near = all_below(farthest, FAR / 2);
    if (__builtin_expect(!are_near, false)) {
        for (int k = 0; k < COUNT; ++k)
            candidates[k] = usual_candidate(sums[k]);
        return;
    }
#pragma GCC unroll 4
    for (int k = 0; k < COUNT; ++k)
        candidates[k] = near_candidate(sums[k]);
}

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

    // Whether the gates are sigmoids and the candidate a plain hyperbolic tangent.
    static bool has_usual_neurons(const msl_twin_call *call)
    {
        const uint32_t *constants = call->constants;
        return constants[MPSRNN_CONSTANT_NEURON_0] == SIGMOID && constants[MPSRNN_CONSTANT_NEURON_1] == SIGMOID
               && is_plain_tanh(call, 1, 0, 2) && !constants[MPSRNN_CONSTANT_P_NORM];
    }

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
        if (in.stage == 1)
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
        // Behind the channels of a panel that is not full lies what the memory held, and one lane that is far from zero
        // takes all the others another way.
        const lane_mask channels = first_lanes(r.at.count);
        const vf sum_z = load_lanes(r.sums, channels), sum_r = load_lanes(r.sums + r.in->gate_step, channels);
        store_sum(r, 3, MPSRNN_GATE_UPDATE, sum_z);
        store_sum(r, 3, MPSRNN_GATE_RESET, sum_r);
        const usual_gates gates = is_usual ? usual_gates_of(sum_z, sum_r) : any_gates(r, sum_z, sum_r);
        const vf z = gates.update, h0 = output_before(r);
        store_own(r.in->table.gate, r, z);
        if (output_params.terms[1].taps != 0) {
            const vf reset = gates.reset * h0;
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
        const vf z = load_own(r.in->table.gate, r);
        if (is_usual) {
            store_output(r, mix(z, 1.0f - z, usual_candidate(sum), h0));
            return;
        }
        const vf h = neuron(constant(MPSRNN_CONSTANT_NEURON_2), sum, r.rows, output_params.neurons[0]);
        store_output(r, mix(z, has_p_norm ? rest_of_norm(z) : 1.0f - z, h, h0));
    }

    TWIN_INLINE vf mix(vf z, vf rest, vf h, vf h0) const { return flips ? rest * h0 + z * h : rest * h + z * h0; }

    // The usual cell of one row, panels [panel, end). Returns the first that is not full, and is left.
    uint32_t finish_row(const row_step &in, uint32_t panel, uint32_t end) const
    {
        const uint32_t channels = VECTORS / gates(in.stage) * LANES;
        for (; panel < end && (panel + 1) * channels <= params.channels; ++panel) {
            const float *sums = in.sums + panel * in.sums_step;
            in.stage == 0 ? finish_row_gates(in, panel * channels, sums) : finish_row_output(in, panel * channels, sums);
        }
        return panel;
    }

    // The usual cell of a batch's rows.
    template <class V> void finish_rows(const matrix_rows &r) const
    {
        r.in->stage == 0 ? finish_gates_in<V>(r) : finish_output_in<V>(r);
    }

private:
    // What training alone reads is not stored, here and below.
    template <class V> TWIN_INLINE void finish_gates_in(const matrix_rows &r) const
    {
        enum { STEP = VECTORS / 2 * LANES };    // between the gates
        const mpsrnn_matrix_step &step = r.in->table;
        const float *const sums = r.sums;
        const batch_matrix before = before_in(r, step.output_in, step.output_in_stride), gate = own_in(r, step.gate);
        const batch_operand<V> reset = operand_in<V>(r, OPERAND_RESET), updated = operand_in<V>(r, OPERAND_UPDATED);
        finish_all_rows(r.count, [=](auto count, size_t i) TWIN_INLINED {
            vf z[count.value], reset_h0[count.value], updated_h0[count.value];
            usual_gates gates[count.value];
#pragma GCC unroll 4
            for (int k = 0; k < count.value; ++k) {
                z[k] = load(sums + (i + k) * PANEL);
                reset_h0[k] = load(sums + (i + k) * PANEL + STEP);
            }
            finish_usual_gates<count.value>(z, reset_h0, gates);
#pragma GCC unroll 4
            for (int k = 0; k < count.value; ++k) {
                const vf h0 = before.first ? before.get(i + k) : vf{};
                z[k] = gates[k].update;
                reset_h0[k] = gates[k].reset * h0;
                updated_h0[k] = gates[k].update * h0;
            }
            gate.put(i, z);
            reset.put(i, reset_h0);
            updated.put(i, updated_h0);
        });
    }

    template <class V> TWIN_INLINE void finish_output_in(const matrix_rows &r) const
    {
        const mpsrnn_matrix_step &step = r.in->table;
        const float *const sums = r.sums;
        const batch_matrix before = before_in(r, step.output_in, step.output_in_stride), gate = own_in(r, step.gate);
        const batch_output<V> output = output_in<V>(r);
        finish_all_rows(r.count, [=](auto count, size_t i) TWIN_INLINED {
            vf own[count.value], candidates[count.value], h1[count.value];
#pragma GCC unroll 4
            for (int k = 0; k < count.value; ++k)
                own[k] = load(sums + (i + k) * PANEL);
            finish_usual_candidates<count.value>(own, candidates);
#pragma GCC unroll 4
            for (int k = 0; k < count.value; ++k) {
                const vf z = gate.get(i + k), h0 = before.first ? before.get(i + k) : vf{};
                h1[k] = mix(z, 1.0f - z, candidates[k], h0);
            }
            output.put(i, h1);
        });
    }

    __attribute__((noinline)) usual_gates any_gates(const matrix_part &r, vf sum_z, vf sum_r) const
    {
        const mpsrnn_neuron_params *bc = params.neurons;
        const uint32_t update = constant(MPSRNN_CONSTANT_NEURON_0), reset = constant(MPSRNN_CONSTANT_NEURON_1);
        return {neuron(update, sum_z, r.rows, bc[MPSRNN_GATE_UPDATE]),
                neuron(reset, sum_r, r.rows + r.in->gate_step, bc[MPSRNN_GATE_RESET])};
    }

    // Of a panel.
    TWIN_INLINE void finish_row_gates(const row_step &in, uint32_t channel, const float *sums) const
    {
        enum { COUNT = VECTORS / 2 };
        vf update[COUNT], reset[COUNT];
        usual_gates gates[COUNT];
#pragma GCC unroll 4
        for (int k = 0; k < COUNT; ++k) {
            update[k] = load(sums + k * LANES);
            reset[k] = load(sums + (COUNT + k) * LANES);
        }
        finish_usual_gates<COUNT>(update, reset, gates);
#pragma GCC unroll 4
        for (int k = 0; k < COUNT; ++k, channel += LANES) {
            const vf h0 = row_before(in, in.table.output_in, channel);
            store(row_at<float>(in.table.gate, 0, 0) + channel, gates[k].update);
            if (in.after[OPERAND_RESET])
                store(in.after[OPERAND_RESET] + channel, gates[k].reset * h0);
            if (in.after[OPERAND_UPDATED])
                store(in.after[OPERAND_UPDATED] + channel, gates[k].update * h0);
        }
    }

    TWIN_INLINE void finish_row_output(const row_step &in, uint32_t channel, const float *sums) const
    {
        vf own[VECTORS], candidates[VECTORS];
#pragma GCC unroll 4
        for (int k = 0; k < VECTORS; ++k)
            own[k] = load(sums + k * LANES);
        finish_usual_candidates<VECTORS>(own, candidates);
#pragma GCC unroll 4
        for (int k = 0; k < VECTORS; ++k, channel += LANES) {
            const vf z = load(row_at<float>(in.table.gate, 0, 0) + channel);
            const vf h0 = row_before(in, in.table.output_in, channel);
            store_row_output(in, channel, mix(z, 1.0f - z, candidates[k], h0));
        }
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
