/* What the files of the matrix layers know of a sequence through a stack of cells. */
#ifndef MCY_MATRIX_SEQUENCE_H
#define MCY_MATRIX_SEQUENCE_H
#import "shim.h"

/* ---- matrix_sequence.m ---- */

/* What training keeps of a time step, of a sequence through one cell: [row][slice] of four floats each (`sums`: [row]
 * [gate][slice]), as in mpsrnn_matrix_step; offsets are multiples of 16. Rows are those of the first source. Absent
 * where the cell has none: `memory` but for the LSTM, `reset` and `updated` but for the GRU. */
typedef struct {
    mcy_memory output, memory, reset, updated, sums;
} mcy_matrix_record;

/* Packed weights and channel rows of one stage, in place of its own. */
typedef struct {
    id<MTLBuffer> weights, channels;
} mcy_matrix_weights;

/* Where the memory of one cell begins in a sequence's own buffer, see mpsrnn_matrix_step. */
typedef struct {
    size_t output, memory, gate, reset, updated;
    size_t output_count;                        /* h of so many steps: all, or two in turn */
} mcy_matrix_scratch;

/* Gates of a cell, as they are counted in `sums`. */
static inline uint32_t mcy_gate_count(mpsrnn_cell_kind kind)
{
    return kind == MPSRNN_CELL_SINGLE_GATE ? 1 : kind == MPSRNN_CELL_GRU ? 3 : 4;
}

/* One stack of cells over one sequence. The caller fills in the first part, which he keeps alive, and zeroes the rest;
 * then he checks, prepares, encodes and, whatever happened, destroys it. Once prepared, encoding cannot fail. */
typedef struct mcy_matrix_sequence mcy_matrix_sequence;
struct mcy_matrix_sequence {
    MCYDevice *device;
    MCYCommand *command;                        /* locked */
    const mcy_cell **cells;                     /* bottom first, of a layer object of `layer_count` cells */
    size_t cell_count, layer_count;
    BOOL is_backward;                           /* step 0 is the last matrix */
    const mpsrnn_matrix *sources;
    const mpsrnn_matrix *destinations;          /* NULL: the results stay here, for another sequence to add */
    size_t count;
    const mcy_matrix_sequence *addend;          /* prepared, without destinations: what is added to h1; or NULL */
    const mpsrnn_matrix_state *state_in;        /* by cell of the layer object; NULL: zero */
    const mpsrnn_matrix_state *states_out;      /* [state][cell of the layer object] */
    size_t state_count;                         /* states of the last steps to keep: 0, 1 or all */
    const mcy_matrix_record *records;           /* training, of one cell: by step, in the order of the run; or NULL */
    mcy_matrix_weights weights[2];              /* training: of each stage of the cell; else nil */
    BOOL allows_reduced_precision;              /* of products */

    uint32_t rows;                              /* of the first source, which has most */
    mcy_matrix_scratch *scratch;                /* by cell */
    id<MTLComputePipelineState> *pipelines;     /* by cell; owned by the device */
    MCYBuffer *memory;                          /* nil if all of it is the caller's */
    uint64_t memory_address;
    MCYBuffer *table;                           /* steps by cell */
};

/* The cells of a layer object, in `cells`, which the caller frees. */
mpsrnn_status mcy_matrix_sequence_choose_cells(mcy_matrix_sequence *sequence, MCYMatrixLayer *layer,
                                               mcy_direction direction, mpsrnn_error *error);
mpsrnn_status mcy_matrix_sequence_check(mcy_matrix_sequence *sequence, mpsrnn_error *error);
mpsrnn_status mcy_matrix_sequence_prepare(mcy_matrix_sequence *sequence, mpsrnn_error *error);
void mcy_matrix_sequence_encode(const mcy_matrix_sequence *sequence);
/* The same in parts: what all layers need, then one after the other. */
void mcy_matrix_sequence_use_resources(const mcy_matrix_sequence *sequence);
bool mcy_matrix_takes_one_dispatch(const mcy_matrix_sequence *sequence, size_t layer);
void mcy_matrix_sequence_encode_layer(const mcy_matrix_sequence *sequence, size_t layer);
void mcy_matrix_sequence_destroy(mcy_matrix_sequence *sequence);

/* ---- matrix_pipeline.m ---- */

uint32_t mcy_matrix_rows_per_thread(const mcy_matrix_sequence *sequence);
/* Of a checked sequence; owned by the device. */
mpsrnn_status mcy_matrix_pipeline(const mcy_matrix_sequence *sequence, size_t layer, id<MTLComputePipelineState> *out,
                                  mpsrnn_error *error);

#endif
