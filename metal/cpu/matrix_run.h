// How the members of a crew walk a sequence together: the input's products of several steps at once, then step by step
// what depends on the step before. Each member makes the panels that fall to it.
#ifndef TWIN_MATRIX_RUN_H
#define TWIN_MATRIX_RUN_H
#include "matrix_member.h"

namespace {
namespace twin {

// Bytes of weights after which the sums of a row might leave the nearest caches before they are finished.
enum { FINISHED_AFTER = 256 << 10 };

// W: the elements of the panels.
template <class Cell, class W> class matrix_walk : public matrix_member<Cell, W> {
public:
    using matrix_member<Cell, W>::matrix_member;

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
    typedef matrix_member<Cell, W> knowledge;
    using typename knowledge::operand_value;
    using knowledge::plan;
    using knowledge::cell;
    using knowledge::params;
    using knowledge::steps;
    using knowledge::run;
    using knowledge::member;
    using knowledge::shared;
    using knowledge::scratch;
    using knowledge::input;
    using knowledge::weights;
    using knowledge::channel_rows;
    using knowledge::base;
    using knowledge::is_last_block;
    using knowledge::rows_of_block;
    using knowledge::running;
    using knowledge::operand;
    using knowledge::pack_state;
    using knowledge::place_in;
    using knowledge::pack_input;
    using knowledge::sums_of;
    using knowledge::bias_of;
    using knowledge::first_input;
    using knowledge::reads_same_inputs;
    using knowledge::start_sums;

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
        bool is_paired = plan.pairs_rows;
        const bool waits = !plan.packs_alone || (c.begin == run.first_step && steps[c.begin].state_rows != 0);
        if ((waits && !msl_meet(member))
            || !add_sides(plan.input_sides, input, params.input_channels, c.rows, &is_paired))
            return false;
        for (uint32_t s = 0; s < plan.stage_count; ++s)
            plan.pairs_rows ? project_pairs(c, int(s), is_paired) : project(c, int(s));
        uint32_t first = 0;
        for (uint32_t t = c.begin; t < c.end; ++t) {
            for (uint32_t s = 0; s < plan.stage_count; ++s) {
                if (!run_stage(c, t, int(s), first))
                    return false;
                const bool is_last = is_last_block && t + 1 == run.last_step && s + 1 == plan.stage_count;
                if (!is_last && !msl_meet(member))
                    return false;
            }
            first += running(t);
        }
        return true;
    }

    // Prepares an operand for Strassen's algorithm, unless its values forbid it. False: the crew goes on without us.
    bool add_sides(size_t sides, const float *values, uint32_t depth, size_t rows, bool *is_paired) const
    {
        if (!plan.pairs_rows)
            return true;
        *is_paired = are_rows_of_a_size(values, depth, rows, scratch);
        if (!*is_paired)
            return true;
        add_strassen_sides(shared + sides, values, depth, rows, share_of(member, depth / 8));
        return msl_meet(member);
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

    // A stage of a step, where rows are paired. False: the crew goes on without us.
    bool run_pairs(const chunk &c, const matrix_stage_step &in, uint32_t t, uint32_t first) const
    {
        const matrix_stage &stage = plan.stages[in.stage];
        const uint32_t pairs = stage.panels / 2;
        const float *values = reinterpret_cast<const float *>(operand(stage.terms[0].operand, t));
        const bool has_state = in.table.state_rows != 0;
        bool is_paired = false;
        if (has_state && !add_sides(plan.sides, values, params.channels, plan.rows, &is_paired))
            return false;
        const share own = share_of(member, pairs);
        for (uint32_t i = own.begin; i < own.end; ++i) {
            const uint32_t pair = t % 2 ? own.end - 1 - (i - own.begin) : i;
            strassen_product p = pair_of(c, in.stage, pair, stage.terms[0], first);
            p.values = values;
            p.sides = shared + plan.sides;
            p.rows = plan.rows;
            // To and fro, as below.
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
        return true;
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
            matrix_product<W> p = {weights[s] + term.first + size_t(panel) * term.depth * PANEL,
                                   values + first_input(stage, term, panel) * size_t(c.rows),
                                   size_t(c.rows) * 4, term.depth, bias_of(s, panel), 0, sums_of(s, c, panel)};
            if (c.rows == 1) {
                p.start_step = MPSRNN_CHANNEL_ROWS * PANEL;
                multiply_row(p, pair, PANEL);
            } else {
                wanted_lines none;
                multiply_many(p, c.rows, vectors_of(stage, panel), scratch, none);
            }
            panel += pair;
        }
    }

    // One stage of one step, whose rows begin with row `first` of the chunk. False: the crew goes on without us.
    bool run_stage(const chunk &c, uint32_t t, int s, uint32_t first) const
    {
        const matrix_stage &stage = plan.stages[s];
        const share own = share_of(member, stage.panels);
        void *after[OPERANDS];
        for (int i = 0; i < OPERANDS; ++i)
            after[i] = operand(i, t + 1);
        const matrix_stage_step in = {steps[t], s, stage.panel_channels, after};
        if (plan.pairs_rows)
            return run_pairs(c, in, t, first);
        if (plan.rows == 1 && member->count > 1)
            fetch_row(stage, t);
        // To and fro: what a step reads last is still in the cache when the next begins.
        const bool is_reverse = t % 2;
        const size_t panel_size = size_t(stage.terms[0].depth + stage.terms[1].depth) * PANEL * sizeof(W);
        uint32_t unfinished = 0;
        for (uint32_t done = 0; done < own.end - own.begin;) {
            const uint32_t left = own.end - own.begin - done, pair = plan.rows == 1 && left > 1 ? 2 : 1;
            const uint32_t panel = is_reverse ? own.end - done - pair : own.begin + done;
            wanted_lines wanted;
            if (plan.rows > 1)
                want(c, in, first, panel, wanted);
            add_terms(c, t, s, first, panel, pair, wanted);
            done += pair;
            unfinished += pair;
            if (plan.rows > 1) {
                finish(c, in, first, panel, panel + pair);
            } else if (done == own.end - own.begin || unfinished * panel_size >= FINISHED_AFTER) {
                const uint32_t lowest = is_reverse ? panel : panel + pair - unfinished;
                finish_row(c, in, first, {lowest, lowest + unfinished});
                unfinished = 0;
            }
        }
        return true;
    }

    // What other members have made of the row, from their caches: at once, not line by line as the products get there.
    void fetch_row(const matrix_stage &stage, uint32_t t) const
    {
        enum { LINE = 64 / sizeof(float) };
        for (uint32_t i = 0; i < stage.term_count; ++i)
            for (uint32_t k = 0; k < stage.terms[i].depth; k += LINE)
                __builtin_prefetch(operand(stage.terms[i].operand, t) + k);
    }

    // Of many panels at once, for the cell is a long chain of dependent operations: others like it hide it.
    void finish_row(const chunk &c, const matrix_stage_step &in, uint32_t first, share own) const
    {
        uint32_t panel = own.begin;
        if (cell.is_plain(in.table)) {
            const float *sums = sums_of(in.stage, c, 0) + size_t(first) * PANEL;
            float *const *after = reinterpret_cast<float *const *>(in.after);
            panel = cell.finish_row({in.table, in.stage, sums, size_t(c.rows) * PANEL, after}, panel, own.end);
        }
        finish(c, in, first, panel, own.end);
    }

    // Adds the recurrent products of `pair` panels, of the rows that have a state to multiply.
    void add_terms(const chunk &c, uint32_t t, int s, uint32_t first, uint32_t panel, uint32_t pair,
                   wanted_lines &wanted) const
    {
        const matrix_stage &stage = plan.stages[s];
        const uint32_t stateful = rows_of_block(steps[t].state_rows), rows = running(t);
        for (uint32_t i = 0; i < stage.term_count; ++i) {
            const matrix_term &term = stage.terms[i];
            // The new memory is a product's source of the second stage only; it is there for all rows.
            const bool is_new = s == 1 && term.operand == OPERAND_MEMORY;
            const uint32_t count = is_new || rows < stateful ? rows : stateful;
            if (count == 0)
                continue;
            float *sums = sums_of(s, c, panel) + size_t(first) * PANEL;
            const uint32_t input = first_input(stage, term, panel);
            const operand_value *values = operand(term.operand, t + is_new) + input * plan.rows;
            const W *from = weights[s] + term.first + size_t(panel) * term.depth * PANEL;
            matrix_product<W> p = {from, values, cell.operand_step, term.depth, sums, PANEL, sums};
            if (plan.rows > 1) {
                multiply_many(p, count, vectors_of(stage, panel), scratch, wanted);
            } else if (pair == 2 && reads_same_inputs(stage, term, panel)) {
                p.start_step = size_t(c.rows) * PANEL;
                multiply_row(p, 2, p.start_step);
            } else {
                for (uint32_t k = 0; k < pair; ++k) {
                    multiply_row(p, 1, 0);
                    p.weights += size_t(term.depth) * PANEL;
                    p.start = p.sums += size_t(c.rows) * PANEL;
                    p.values = operand(term.operand, t + is_new) + first_input(stage, term, panel + 1);
                }
            }
        }
    }

    // What `finish` will read and write of a panel.
    void want(const chunk &c, const matrix_stage_step &in, uint32_t first, uint32_t panel, wanted_lines &wanted) const
    {
        enum { LINE = 64 };
        const matrix_stage &stage = plan.stages[in.stage];
        const uint32_t rows = rows_of_block(in.table.rows), channel = panel * stage.panel_channels;
        const float *sums = sums_of(in.stage, c, panel);
        const size_t lines = size_t(plan.rows) * PANEL * sizeof *sums / LINE;
        if (plan.pairs_rows) {
            wanted.add(sums + place_in(c, first, 0) * PANEL, LINE, lines / 2);
            wanted.add(sums + place_in(c, first, plan.rows / 2) * PANEL, LINE, lines / 2);
        } else {
            wanted.add(sums + first * PANEL, LINE, lines);
        }
        for (uint32_t v = 0; v < in.gate_step && channel + v < params.channels; v += LINE / sizeof(float))
            cell.want(in, base, rows, channel + v, wanted);
    }

    // The same of a whole vector of a panel's channels, where all rows run. Those that are paired lie apart.
    void finish_rows(const chunk &c, const matrix_stage_step &in, uint32_t first, uint32_t panel, uint32_t v) const
    {
        const uint32_t rows = rows_of_block(in.table.rows), parts = plan.pairs_rows ? 2 : 1;
        const uint32_t channel = panel * plan.stages[in.stage].panel_channels + v;
        for (uint32_t r = 0; r < rows; r += rows / parts) {
            const float *sums = sums_of(in.stage, c, panel) + place_in(c, first, r) * PANEL + v;
            cell.finish_rows({&in, base + r, r, rows / parts, channel, in.table.state_rows != 0, sums});
        }
    }

    // Makes of the sums of panels what the cell makes of them.
    void finish(const chunk &c, const matrix_stage_step &in, uint32_t first, uint32_t panel, uint32_t end) const
    {
        enum { PARTS = 8 };
        const matrix_stage &stage = plan.stages[in.stage];
        const uint32_t stateful = rows_of_block(in.table.state_rows), rows = rows_of_block(in.table.rows);
        const bool are_plain = cell.are_plain(in.table);
        const matrix_stage_step last = {in.table, in.stage, stage.last_channels, in.after};
        matrix_part parts[PARTS];
        int count = 0;
        for (; panel < end; ++panel) {
            const float *sums = sums_of(in.stage, c, panel);
            const float *own_rows = channel_rows[in.stage] + size_t(panel) * MPSRNN_CHANNEL_ROWS * PANEL;
            const uint32_t channel = panel * stage.panel_channels;
            const bool is_full = channels_of(stage, panel) == stage.panel_channels;
            const matrix_stage_step &here = is_full ? in : last;
            for (uint32_t v = 0; v < here.gate_step && channel + v < params.channels; v += LANES) {
                const uint32_t left = params.channels - channel - v;
                const lanes at = {channel + v, left < LANES ? int(left) : int(LANES)};
                if (are_plain && is_full && at.count == LANES) {
                    finish_rows(c, in, first, panel, v);
                    continue;
                }
                for (uint32_t r = 0; r < rows || r < stateful; ++r) {
                    parts[count++] = {&here, base + r, r, at, r < rows, r < stateful,
                                      sums + place_in(c, first, r) * PANEL + v, own_rows + v};
                    if (count == PARTS) {
                        cell.finish(parts, count);
                        count = 0;
                    }
                }
            }
        }
        cell.finish(parts, count);
    }

};

} // namespace twin
} // namespace
#endif
