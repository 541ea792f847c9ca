// What a member of a crew knows on its walk through a sequence, and how it lays out what is multiplied.
#ifndef TWIN_MATRIX_MEMBER_H
#define TWIN_MATRIX_MEMBER_H
#include "matrix_planning.h"

namespace {
namespace twin {

// W: the elements of the panels.
template <class Cell, class W> class matrix_member {
public:
    matrix_member(const msl_plan *p, const msl_twin_call *c, msl_crew_member *m)
        : plan(matrix_plan_of(p)), call(*c), cell(*c, plan), params(cell.params), steps(matrix_steps_of(c)),
          run(matrix_run_of(c)), member(m), scratch(static_cast<float *>(m->workspace)),
          shared(plan.walks_apart ? scratch + plan.own_shared : static_cast<float *>(m->shared)),
          input((plan.packs_alone ? scratch : shared) + plan.input)
    {
        for (uint32_t s = 0; s < plan.stage_count; ++s) {
            weights[s] = plan.packs_weights ? reinterpret_cast<const W *>(shared + plan.packed_weights[s])
                                            : static_cast<const W *>(plan.stages[s].weights);
            channel_rows[s] = plan.packs_weights ? shared + plan.packed_rows[s] : plan.stages[s].rows;
        }
    }

    template <class T> void pack_weights() const
    {
        for (uint32_t s = 0; s < plan.stage_count; ++s) {
            const matrix_stage &stage = plan.stages[s];
            const matrix_packing packing = {&call, &stage, int(s)};
            const share own = share_of(member, stage.panels);
            pack_matrix_panels<T>(const_cast<W *>(weights[s]), packing, own.begin, own.end);
            pack_matrix_rows(const_cast<float *>(channel_rows[s]), packing, own.begin, own.end);
        }
    }

protected:
    typedef typename multiplied_with<W>::type operand_value;

    // Rows of the block that a number of the batch's rows stands for.
    TWIN_INLINE uint32_t rows_of_block(uint32_t rows) const
    {
        return rows <= base ? 0 : rows - base < plan.rows ? uint32_t(rows - base) : plan.rows;
    }

    TWIN_INLINE uint32_t running(uint32_t step) const { return rows_of_block(steps[step].rows); }

    operand_value *operand(int index, uint32_t turn) const
    {
        const size_t place = plan.operands[index][turn % 2];
        return place == SIZE_MAX ? nullptr : reinterpret_cast<operand_value *>(shared + place);
    }

    // The caller's state, of which the first step reads operands.
    void pack_state()
    {
        const mpsrnn_matrix_step &step = steps[run.first_step];
        const share own = share_of(member, rows_of_block(step.state_rows));
        operand_value *output = operand(OPERAND_OUTPUT, run.first_step);
        operand_value *memory = operand(OPERAND_MEMORY, run.first_step);
        for (uint32_t r = own.begin; r < own.end; ++r) {
            if (output)
                pack_operand_row(output, cell.operand_step, r,
                                 row_at<const float>(step.output_in, base + r, step.output_in_stride), params.channels);
            if (memory)
                pack_operand_row(memory, cell.operand_step, r,
                                 row_at<const float>(step.memory_in, base + r, step.memory_in_stride), params.channels);
        }
    }

    // Where row r of a step whose rows begin with `first` lies in the chunk: where rows are paired, in the upper or the
    // lower half, so that it is always the same ones.
    TWIN_INLINE size_t place_in(const chunk &c, uint32_t first, uint32_t r) const
    {
        if (!plan.pairs_rows)
            return first + r;
        return r < plan.rows / 2 ? first / 2 + r : c.rows / 2 + first / 2 + r - plan.rows / 2;
    }

    template <class E, class V> void pack_input_rows(const chunk &c, V *to) const
    {
        const share own = plan.packs_alone ? share{0, c.rows} : share_of(member, c.rows);
        uint32_t first = 0;
        for (uint32_t t = c.begin; t < c.end; first += running(t++)) {
            const uint32_t begin = own.begin > first ? own.begin - first : 0, left = own.end > first ? own.end - first : 0;
            const uint32_t end = left < running(t) ? left : running(t);
            for (uint32_t r = begin; r < end;)
                r += pack_input_at<E>(c, to, t, first, r, end - r);
        }
    }

    // Row r of a step whose rows begin with `first`, and those behind it, of `left`, that belong to one vector. How many.
    template <class E, class V>
    TWIN_INLINE uint32_t pack_input_at(const chunk &c, V *to, uint32_t t, uint32_t first, uint32_t r, uint32_t left) const
    {
        const size_t step = size_t(c.rows) * 4, place = place_in(c, first, r);
        const E *from[TEXELS];
        for (uint32_t i = 0; i < TEXELS; ++i)
            from[i] = row_at<const E>(steps[t].source, base + r + i, steps[t].source_stride);
        if (left >= TEXELS && place_in(c, first, r + TEXELS - 1) == place + TEXELS - 1) {
            pack_operand_rows(to, step, place, from, params.input_channels, size_t(steps[t].source_stride) * TEXELS);
            return TEXELS;
        }
        pack_operand_row(to, step, place, from[0], params.input_channels);
        return 1;
    }

    template <class V> void pack_input_as(const chunk &c, V *to) const
    {
        if (call.constants[MPSRNN_CONSTANT_SOURCE_HALF])
            pack_input_rows<half_bits>(c, to);
        else
            pack_input_rows<float>(c, to);
    }

    void pack_input(const chunk &c) const
    {
        if (call.constants[MPSRNN_CONSTANT_UNIT_TRANSFORM])
            pack_input_as(c, input);      // is not multiplied
        else
            pack_input_as(c, reinterpret_cast<operand_value *>(input));
    }

    TWIN_INLINE float *sums_of(int stage, const chunk &c, uint32_t panel) const
    {
        return shared + plan.stages[stage].sums + size_t(panel) * c.rows * PANEL;
    }

    TWIN_INLINE const W *weights_of(int stage, const matrix_term &term, uint32_t panel) const
    {
        return weights[stage] + term.first + size_t(panel) * term.depth * PANEL;
    }

    TWIN_INLINE const float *bias_of(int stage, uint32_t panel) const
    {
        return channel_rows[stage] + (size_t(panel) * MPSRNN_CHANNEL_ROWS + MPSRNN_CHANNEL_BIAS) * PANEL;
    }

    // First input channel that a panel reads of a term.
    TWIN_INLINE static uint32_t first_input(const matrix_stage &stage, const matrix_term &term, uint32_t panel)
    {
        const bool is_grouped = term.group_outputs != UINT32_MAX;
        return is_grouped ? panel * stage.panel_channels / term.group_outputs * term.depth : 0;
    }

    TWIN_INLINE static bool reads_same_inputs(const matrix_stage &stage, const matrix_term &term, uint32_t panel)
    {
        return first_input(stage, term, panel) == first_input(stage, term, panel + 1);
    }

    // The bias and, in unit-transform mode, the input.
    void start_sums(const chunk &c, int s, uint32_t panel) const
    {
        const matrix_stage &stage = plan.stages[s];
        const bool adds_input = Cell::has_input(s) && call.constants[MPSRNN_CONSTANT_UNIT_TRANSFORM];
        const float *bias = bias_of(s, panel);
        const uint32_t channels = channels_of(stage, panel), slice = panel * stage.panel_channels / 4;
        for (uint32_t row = 0; row < c.rows; ++row) {
            float *sums = sums_of(s, c, panel) + size_t(row) * PANEL;
            memcpy(sums, bias, PANEL * sizeof *sums);
            for (uint32_t k = 0; k < channels && adds_input && slice + k / 4 < params.slices; k += 4) {
                const f4 added = load4(input + (size_t(slice + k / 4) * c.rows + row) * 4);
                for (uint32_t gate = 0; gate < stage.gates; ++gate) {
                    float *to = sums + gate * channels + k;
                    const f4 sum = load4(to) + added;
                    memcpy(to, &sum, sizeof sum);
                }
            }
        }
    }

    const matrix_plan &plan;
    const msl_twin_call &call;
    const Cell cell;
    const mpsrnn_cell_params &params;
    const mpsrnn_matrix_step *const steps;
    const mpsrnn_matrix_run &run;
    msl_crew_member *const member;
    float *const scratch, *const shared, *const input;
    const W *weights[2];
    const float *channel_rows[2];
    size_t base = 0;
    bool is_last_block = true;
};

} // namespace twin
} // namespace
#endif
