// How the members of a crew walk a sequence together: the input's products of several steps at once, then step by step
// what depends on the step before. Each member makes the panels that fall to it.
#ifndef TWIN_MATRIX_RUN_H
#define TWIN_MATRIX_RUN_H
#include "matrix_stages.h"

namespace {
namespace twin {

// W: the elements of the panels.
template <class Cell, class W> class matrix_walk : public matrix_stages<Cell, W> {
public:
    using matrix_stages<Cell, W>::matrix_stages;

    // Walks the sequence for all rows, or for those of every `step`th block from the first on. Returns early if the crew
    // does.
    void walk(uint32_t first = 0, uint32_t step = 1)
    {
        for (uint32_t block = first; block < plan.blocks; block += step) {
            base = size_t(block) * plan.rows;
            is_last_block = block + 1 == plan.blocks;
            if (!walk_block())
                return;
        }
    }

private:
    typedef matrix_stages<Cell, W> knowledge;
    using typename knowledge::operand_value;
    using typename knowledge::made_operands;
    using knowledge::plan;
    using knowledge::params;
    using knowledge::steps;
    using knowledge::run;
    using knowledge::member;
    using knowledge::shared;
    using knowledge::scratch;
    using knowledge::input;
    using knowledge::weights;
    using knowledge::weights_of;
    using knowledge::base;
    using knowledge::is_last_block;
    using knowledge::running;
    using knowledge::operand;
    using knowledge::pack_state;
    using knowledge::pack_input;
    using knowledge::sums_of;
    using knowledge::bias_of;
    using knowledge::first_input;
    using knowledge::reads_same_inputs;
    using knowledge::start_sums;
    using knowledge::operands_after;
    using knowledge::begin_stage;
    using knowledge::run_stage;
    using knowledge::want;
    using knowledge::finish;

    bool walk_block()
    {
        for (chunk c = {run.first_step, run.first_step, 0}; c.end < run.last_step;) {
            c.begin = c.end;
            c.rows = 0;
            do
                c.rows += running(c.end++);
            while (c.end < run.last_step && c.rows + running(c.end) <= plan.chunk_rows);
            if (!walk_chunk(c))
                return false;
        }
        return true;
    }

    bool walk_chunk(const chunk &c)
    {
        if (c.begin == run.first_step)
            pack_state();
        pack_input(c);
        const bool waits = !plan.packs_alone || (c.begin == run.first_step && steps[c.begin].state_rows != 0);
        if (waits && !msl_meet(member))
            return false;
        const uint32_t depth = params.input_channels;
        bool is_paired = false;
        if (plan.pairs_rows) {
            const unsigned shares = member->count;
            float *sizes = shared + plan.input_sizes;
            add_strassen_sides(shared + plan.input_sides, sizes + member->index * row_size_count(c.rows), input, depth,
                               c.rows, share_of(member, depth / 8));
            if (!msl_meet(member))
                return false;
            is_paired = are_rows_of_a_size(sizes, c.rows, shares);
        }
        for (uint32_t s = 0; s < plan.stage_count; ++s)
            plan.pairs_rows ? project_pairs(c, int(s), is_paired) : project(c, int(s));
        uint32_t first = 0;
        for (uint32_t t = c.begin; t < c.end; ++t) {
            for (uint32_t s = 0; s < plan.stage_count; ++s) {
                plan.pairs_rows ? run_pairs(c, t, int(s), first) : run_stage(c, t, int(s), first);
                const bool is_last = is_last_block && t + 1 == run.last_step && s + 1 == plan.stage_count;
                if (!is_last && !meet_and_begin(t, int(s)))
                    return false;
            }
            first += running(t);
        }
        return true;
    }

    // A meeting after a stage of a step. While the others are still to come, begins with what comes next.
    bool meet_and_begin(uint32_t t, int s)
    {
        const bool is_over = uint32_t(s) + 1 == plan.stage_count;
        if (msl_arrive(member) && plan.rows == 1 && (!is_over || t + 1 < run.last_step))
            begin_stage(t + is_over, is_over ? 0 : s + 1);
        return msl_leave(member);
    }

    TWIN_INLINE static size_t weights_of_pair(const matrix_term &term)
    {
        return size_t(term.depth) / 2 * STRASSEN_BLOCKS * PANEL;
    }

    // The sums of a pair of panels, from row `first` of the chunk on.
    strassen_product pair_of(const chunk &c, int s, uint32_t pair, const matrix_term &term, uint32_t first) const
    {
        float *left = sums_of(s, c, pair * 2) + size_t(first) / 2 * PANEL;
        float *right = sums_of(s, c, pair * 2 + 1) + size_t(first) / 2 * PANEL;
        const size_t half = size_t(c.rows) / 2 * PANEL;
        strassen_product p = {};
        const float *blocks = reinterpret_cast<const float *>(weights[s]);
        p.weights = blocks + term.first + pair * weights_of_pair(term);
        p.is_alike = blocks[sizes_of_pairs(plan.stages[s], term) + pair] != 0.0f;
        p.depth = term.depth;
        p.start[0] = p.upper[0] = left;
        p.start[1] = p.upper[1] = right;
        p.start_step = PANEL;
        p.lower[0] = left + half;
        p.lower[1] = right + half;
        return p;
    }

    void project_pairs(const chunk &c, int s, bool is_paired) const
    {
        const uint32_t pairs = plan.stages[s].panels / 2;
        const share own = share_of(member, pairs);
        for (uint32_t pair = own.begin; pair < own.end; ++pair) {
            strassen_product p = pair_of(c, s, pair, plan.stages[s].input, 0);
            p.next = p.weights + (pair + 1 < own.end ? weights_of_pair(plan.stages[s].input) : 0);
            p.start[0] = bias_of(s, pair * 2);
            p.start[1] = bias_of(s, pair * 2 + 1);
            p.start_step = 0;
            p.values = input;
            p.sides = shared + plan.input_sides;
            p.rows = c.rows;
            wanted_lines none;
            is_paired && p.is_alike ? multiply_by_strassen(p, scratch, none) : multiply_ordinarily(p, none);
        }
    }

    // A stage of a step, where rows are paired.
    void run_pairs(const chunk &c, uint32_t t, int s, uint32_t first) const
    {
        const matrix_stage &stage = plan.stages[s];
        const made_operands made = operands_after(t);
        const matrix_stage_step in = {steps[t], s, stage.panel_channels, made.after};
        const uint32_t pairs = stage.panels / 2;
        const float *values = reinterpret_cast<const float *>(operand(stage.terms[0].operand, t));
        // Each member prepares all of it for itself: what others have made comes to its caches once, in order, and there is
        // nobody to meet.
        float *sides = scratch + plan.sides;
        const bool has_state = in.table.state_rows != 0;
        if (has_state)
            add_strassen_sides(sides, scratch, values, params.channels, plan.rows, {0, params.channels / 8});
        const bool is_paired = has_state && are_rows_of_a_size(scratch, plan.rows, 1);
        const share own = share_of(member, pairs);
        for (uint32_t i = own.begin; i < own.end; ++i) {
            const uint32_t pair = t % 2 ? own.end - 1 - (i - own.begin) : i;
            strassen_product p = pair_of(c, in.stage, pair, stage.terms[0], first);
            p.values = values;
            p.sides = sides;
            p.rows = plan.rows;
            // To and fro, as in run_stage.
            const bool is_last = i + 1 == own.end;
            p.next = is_last ? p.weights : t % 2 ? p.weights - weights_of_pair(stage.terms[0])
                                                 : p.weights + weights_of_pair(stage.terms[0]);
            wanted_lines wanted;
            want(c, in, first, pair * 2, wanted);
            want(c, in, first, pair * 2 + 1, wanted);
            if (has_state)
                is_paired && p.is_alike ? multiply_by_strassen(p, scratch, wanted) : multiply_ordinarily(p, wanted);
            finish(c, in, first, pair * 2, pair * 2 + 2);
        }
    }

    // Starts the sums of all rows of a chunk: the bias and what the input adds.
    void project(const chunk &c, int s) const
    {
        const matrix_stage &stage = plan.stages[s];
        const matrix_term &term = stage.input;
        const share own = share_of(member, stage.panels);
        for (uint32_t panel = own.begin; panel < own.end;) {
            if (term.depth == 0) {
                start_sums(c, s, panel++);
                continue;
            }
            const uint32_t pair = c.rows == 1 && panel + 1 < own.end && reads_same_inputs(stage, term, panel) ? 2 : 1;
            const operand_value *values = reinterpret_cast<const operand_value *>(input);
            matrix_product<W> p = {weights_of(s, term, panel),
                                   values + first_input(stage, term, panel) * size_t(c.rows),
                                   size_t(c.rows) * 4, term.depth, bias_of(s, panel), 0, sums_of(s, c, panel), term.block};
            if (c.rows == 1) {
                p.start_step = MPSRNN_CHANNEL_ROWS * PANEL;
                multiply_row(p, pair, PANEL, plan.converts_narrow);
            } else {
                wanted_lines none;
                multiply_many(p, c.rows, vectors_of(stage, panel), scratch, none);
            }
            panel += pair;
        }
    }
};

} // namespace twin
} // namespace
#endif
