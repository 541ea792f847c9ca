// What a member of a crew does of a stage of a step: the recurrent products of its panels, and what the cell makes of the
// sums.
#ifndef TWIN_MATRIX_STAGES_H
#define TWIN_MATRIX_STAGES_H
#include "matrix_member.h"

namespace {
namespace twin {

// Bytes of weights after which the sums of a row might leave the nearest caches before they are finished.
enum { FINISHED_AFTER = 256 << 10 };

// W: the elements of the panels.
template <class Cell, class W> class matrix_stages : public matrix_member<Cell, W> {
public:
    using matrix_member<Cell, W>::matrix_member;

protected:
    typedef matrix_member<Cell, W> knowledge;
    using typename knowledge::operand_value;
    using knowledge::plan;
    using knowledge::cell;
    using knowledge::params;
    using knowledge::steps;
    using knowledge::member;
    using knowledge::scratch;
    using knowledge::weights_of;
    using knowledge::channel_rows;
    using knowledge::base;
    using knowledge::rows_of_block;
    using knowledge::running;
    using knowledge::operand;
    using knowledge::place_in;
    using knowledge::sums_of;
    using knowledge::first_input;
    using knowledge::reads_same_inputs;

    struct made_operands {
        void *after[OPERANDS];
    };

    // What a step makes for the next.
    made_operands operands_after(uint32_t t) const
    {
        made_operands made;
        for (int i = 0; i < OPERANDS; ++i)
            made.after[i] = operand(i, t + 1);
        return made;
    }

    // Begins with a stage of a step while others are still to come: of the first recurrent term's products, adds up a block
    // whose operand this member has made itself, if there is one.
    void begin_stage(uint32_t t, int s)
    {
        begun = {};
        const matrix_stage &stage = plan.stages[s];
        const matrix_term &term = stage.terms[0];
        if (stage.term_count == 0 || term.block == DEPTH_BLOCK || rows_of_term(term, t, s) != 1)
            return;
        const matrix_stage &maker = maker_of(plan, term.operand);
        const share made = share_of(member, maker.panels);
        const uint32_t last = made.end * maker.panel_channels, end = last < term.depth ? last : term.depth;
        const uint32_t first = (made.begin * maker.panel_channels + term.block - 1) / term.block * term.block;
        if (first >= end || (end < term.depth && end - first < term.block))
            return;
        begun = {share_of(member, stage.panels), first, member->count};
        if constexpr (sizeof(operand_value) == sizeof(float))
            begin_panels(stage, s, operand(term.operand, t + is_new(term, s)));
    }

    // One stage of one step, whose rows begin with row `first` of the chunk.
    void run_stage(const chunk &c, uint32_t t, int s, uint32_t first) const
    {
        const matrix_stage &stage = plan.stages[s];
        const share own = share_of(member, stage.panels);
        const made_operands made = operands_after(t);
        const matrix_stage_step in = {steps[t], s, stage.panel_channels, made.after};
        if (plan.rows == 1 && member->count > 1) {
            fetch_row(stage, t);
            claim_row(stage, own, made.after);
        }
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

private:
    // The new memory is a product's source of the second stage only; it is there for all rows.
    TWIN_INLINE static bool is_new(const matrix_term &term, int s) { return s == 1 && term.operand == OPERAND_MEMORY; }

    // Rows that have something to multiply.
    uint32_t rows_of_term(const matrix_term &term, uint32_t t, int s) const
    {
        const uint32_t stateful = rows_of_block(steps[t].state_rows), rows = running(t);
        return is_new(term, s) || rows < stateful ? rows : stateful;
    }

    // `values`: what the first term multiplies.
    void begin_panels(const matrix_stage &stage, int s, const operand_value *values) const
    {
        const matrix_term &term = stage.terms[0];
        for (uint32_t panel = begun.panels.begin; panel < begun.panels.end;) {
            const uint32_t pair = begun.panels.end - panel > 1 ? 2 : 1;
            begin_row<W>({weights_of(s, term, panel), values, 4, term.depth, nullptr, 0, nullptr, term.block, nullptr, 0},
                         pair, begun.first, begun_sums(panel), plan.converts_narrow);
            panel += pair;
        }
    }

    // The sums that have been begun of a panel, if they have.
    float *begun_sums(uint32_t panel) const
    {
        const bool is_begun = begun.count == member->count && panel >= begun.panels.begin && panel < begun.panels.end;
        return is_begun ? scratch + plan.begun + size_t(panel) * PANEL : nullptr;
    }

    // Takes the lines of what this member is about to make of the row from the caches of those who read them before.
    void claim_row(const matrix_stage &stage, share own, void *const *after) const
    {
        enum { LINE = 64 / sizeof(float) };
        const uint32_t end = own.end * stage.panel_channels, all = end < params.channels ? end : params.channels;
        for (int i = 0; i < OPERANDS; ++i)
            for (uint32_t k = own.begin * stage.panel_channels;
                 after[i] && &maker_of(plan, matrix_operand(i)) == &stage && k < all; k += LINE)
                fetch_to_write(static_cast<const char *>(after[i]) + k * sizeof(float));
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
        for (uint32_t i = 0; i < stage.term_count; ++i) {
            const matrix_term &term = stage.terms[i];
            const uint32_t count = rows_of_term(term, t, s);
            if (count == 0)
                continue;
            float *sums = sums_of(s, c, panel) + size_t(first) * PANEL;
            const uint32_t input = first_input(stage, term, panel);
            const operand_value *values = operand(term.operand, t + is_new(term, s)) + input * plan.rows;
            matrix_product<W> p = {weights_of(s, term, panel), values, cell.operand_step, term.depth, sums, PANEL,
                                   sums, term.block, i == 0 ? begun_sums(panel) : nullptr, begun.first};
            if (plan.rows > 1) {
                multiply_many(p, count, vectors_of(stage, panel), scratch, wanted);
            } else if (pair == 2 && reads_same_inputs(stage, term, panel)) {
                p.start_step = size_t(c.rows) * PANEL;
                multiply_row(p, 2, p.start_step, plan.converts_narrow);
            } else {
                for (uint32_t k = 0; k < pair; ++k) {
                    multiply_row(p, 1, 0, plan.converts_narrow);
                    p.begun = p.begun ? p.begun + PANEL : nullptr;
                    p.weights += size_t(term.depth) * PANEL;
                    p.start = p.sums += size_t(c.rows) * PANEL;
                    p.values = operand(term.operand, t + is_new(term, s)) + first_input(stage, term, panel + 1);
                }
            }
        }
    }

    // The same of a whole vector of a panel's channels, where all rows run. Those that are paired lie apart.
    void finish_rows(const chunk &c, const matrix_stage_step &in, uint32_t first, uint32_t panel, uint32_t v) const
    {
        const uint32_t rows = rows_of_block(in.table.rows), parts = plan.pairs_rows ? 2 : 1;
        const uint32_t channel = panel * plan.stages[in.stage].panel_channels + v;
        for (uint32_t r = 0; r < rows; r += rows / parts) {
            const float *sums = sums_of(in.stage, c, panel) + place_in(c, first, r) * PANEL + v;
            cell.template finish_rows<operand_value>({&in, base + r, r, rows / parts, channel, in.table.state_rows != 0, sums});
        }
    }

    // Sums of a block of products, the one that begins with product `first`, which the member has made before a meeting,
    // as one of so many.
    struct begun_block {
        share panels;
        uint32_t first;
        unsigned count;
    };
    begun_block begun = {};
};

} // namespace twin
} // namespace
#endif
