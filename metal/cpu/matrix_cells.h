// What becomes of the sums of the gates of a matrix cell: one class per kernel, with its stages, terms and formulae.
#ifndef TWIN_MATRIX_CELLS_H
#define TWIN_MATRIX_CELLS_H
#include "activation.h"
#include "matrix_batch.h"
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

// A stage of a step of one row: where its first channel lies. `sums` are those of the first panel.
struct row_step {
    const mpsrnn_matrix_step &table;
    int stage;
    const float *sums;
    size_t sums_step;           // floats between neighbouring panels
    float *const *after;        // operands that the step makes
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

// A whole vector of channels of neighbouring rows of a batch, all of which run.
struct matrix_rows {
    const matrix_stage_step *in;
    size_t row, local, count;   // the first row, in the batch and in the block
    uint32_t channel;
    bool has_state;
    const float *sums;          // of the first row; those of the next lie a panel further on
};

// Where a step's output goes: to the next step's state, to what this multiplies, and to a destination, if there is one.
template <class V> struct batch_output {
    batch_matrix state;
    batch_operand<V> operand;
    batch_matrix destination;
    half_bits *halves;          // the destination, of half values

    template <int COUNT> TWIN_INLINE void put(size_t i, const vf (&values)[COUNT]) const
    {
        state.put(i, values);
        operand.put(i, values);
        if (destination.first)
            destination.put(i, values);
        for (int k = 0; halves && k < COUNT; ++k)
            store_lanes(halves + (i + k) * destination.step, lanes{0, LANES}, values[k]);
    }
};

struct matrix_cell {
    const msl_twin_call &call;
    const mpsrnn_cell_params &params;
    size_t operand_step;
    size_t own_stride;
    bool keeps_sums, has_destination, destination_half, adds, is_bfloat, is_usual;

    matrix_cell(const msl_twin_call &c, const matrix_plan &plan)
        : call(c), params(matrix_params_of(&c, 0)), operand_step(size_t(plan.rows) * 4),
          own_stride(size_t(params.slices) * 4),
          keeps_sums(constant(MPSRNN_CONSTANT_KEEPS_SUMS)), has_destination(constant(MPSRNN_CONSTANT_HAS_DESTINATION)),
          destination_half(constant(MPSRNN_CONSTANT_DESTINATION_HALF)), adds(constant(MPSRNN_CONSTANT_ADDS)),
          is_bfloat(plan.is_bfloat), is_usual(plan.is_usual)
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

    // Whether a gate's neuron is the plain hyperbolic tangent. Its factor is the same for all channels.
    static bool is_plain_tanh(const msl_twin_call *call, int stage, int gate, int type)
    {
        const float *rows = static_cast<const float *>(
            call->dispatch->buffers[matrix_bindings_of(stage).channels].contents);
        return call->constants[MPSRNN_CONSTANT_NEURON_0 + type] == TANH
               && matrix_params_of(call, stage).neurons[gate].b == 1.0f
               && rows[(gate * MPSRNN_CHANNEL_ROWS + MPSRNN_CHANNEL_A) * 4] == 1.0f;
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

    // Whether `finish_row` may make what becomes of a row of the step, one that is alone.
    bool is_plain(const mpsrnn_matrix_step &step) const
    {
        return is_usual && !keeps_sums && !adds && step.rows == 1;
    }

    // Whether `finish_rows` may make what becomes of a batch's rows.
    bool are_plain(const mpsrnn_matrix_step &step) const
    {
        const bool have_state = step.state_rows == step.rows;
        return is_usual && !keeps_sums && !adds && !step.is_kept && (have_state || step.state_rows == 0);
    }

    TWIN_INLINE static batch_matrix matrix_in(const matrix_rows &r, uint64_t matrix, size_t stride)
    {
        return {matrix, r.row, stride, r.channel};
    }

    TWIN_INLINE batch_matrix own_in(const matrix_rows &r, uint64_t matrix) const { return matrix_in(r, matrix, own_stride); }

    // The state that the rows had before; absent if they had none.
    TWIN_INLINE static batch_matrix before_in(const matrix_rows &r, uint64_t matrix, size_t stride)
    {
        return matrix_in(r, r.has_state ? matrix : 0, stride);
    }

    template <class V> TWIN_INLINE batch_operand<V> operand_in(const matrix_rows &r, matrix_operand operand) const
    {
        return {r.in->after[operand], operand_step, r.local, r.channel};
    }

    template <class V> TWIN_INLINE batch_output<V> output_in(const matrix_rows &r) const
    {
        const mpsrnn_matrix_step &step = r.in->table;
        const uint64_t destination = has_destination ? step.destination : 0;
        return {own_in(r, step.output), operand_in<V>(r, OPERAND_OUTPUT),
                matrix_in(r, destination_half ? 0 : destination, step.destination_stride),
                destination_half && destination
                    ? row_at<half_bits>(destination, r.row, step.destination_stride) + r.channel : nullptr};
    }

    TWIN_INLINE static vf row_before(const row_step &in, uint64_t matrix, uint32_t channel)
    {
        return in.table.state_rows > 0 ? load(row_at<float>(matrix, 0, 0) + channel) : vf{};
    }

    TWIN_INLINE static void store_row(uint64_t matrix, float *operand, uint64_t kept, uint32_t channel, vf value)
    {
        store(row_at<float>(matrix, 0, 0) + channel, value);
        if (operand)
            store(operand + channel, value);
        if (kept)
            store(row_at<float>(kept, 0, 0) + channel, value);
    }

    TWIN_INLINE void store_row_output(const row_step &in, uint32_t channel, vf h1) const
    {
        const lanes at = {channel, LANES};
        store_row(in.table.output, in.after[OPERAND_OUTPUT], in.table.kept_output, channel, h1);
        if (has_destination && destination_half)
            store_lanes(row_at<half_bits>(in.table.destination, 0, 0), at, h1);
        else if (has_destination)
            store_lanes(row_at<float>(in.table.destination, 0, 0), at, h1);
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
    uint32_t finish_row(const row_step &, uint32_t panel, uint32_t) const { return panel; }
    template <class V> void finish_rows(const matrix_rows &) const {}

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

} // namespace twin
} // namespace
#endif
