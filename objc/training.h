/* What the files of the training layer know of each other. */
#ifndef MCY_TRAINING_H
#define MCY_TRAINING_H
#import "matrix_copy.h"
#import "matrix_sequence.h"

/* ---- training_layer.m ---- */

/* The trainable matrices of a gate, as they follow each other in mpsrnn_gate_matrices. */
enum { MCY_INPUT, MCY_RECURRENT, MCY_MEMORY, MCY_DIAGONAL, MCY_BIAS, MCY_PART_COUNT };

static inline const mpsrnn_matrix *mcy_part(const mpsrnn_gate_matrices *gates, uint32_t gate, uint32_t part)
{
    return &(&gates[gate].input)[part];
}

static inline BOOL mcy_is_vector(uint32_t part)
{
    return part == MCY_DIAGONAL || part == MCY_BIAS;
}

@interface MCYTrainingLayer : MCYHandle {
@public
    MCYDevice *device;
    mcy_cell cell;                              /* its stages have no weights of their own, and rows with `a` alone */
    size_t weight_bytes[2];                     /* of each stage */
    uint32_t gate_count;
    uint32_t data_type;                         /* of the weight matrices */
    BOOL has[MPSRNN_MAX_GATES][MCY_PART_COUNT];
    mpsrnn_cell_params params;                  /* of the kernels of gradients: all gates are one stage */
    mcy_constants constants;
    float *channels;                            /* the same of their channel rows */
    size_t channel_bytes;
}
@end

/* That all matrices of the cell are there, or any where `is_optional`, and no others; all of one type. */
mpsrnn_status mcy_training_check_weights(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, BOOL is_optional,
                                         uint32_t data_type, const char *what, mpsrnn_error *error);
/* Tells the encoder of every matrix that is there. */
void mcy_training_use_weights(MCYTrainingLayer *layer, MCYCommand *command, const mpsrnn_gate_matrices *gates,
                              BOOL is_written);

/* ---- training_state.m ---- */

/* What the forward pass leaves of one time step, in memory that the steps of one call share. */
@interface MCYTrainingState : MCYHandle {
@public
    MCYBuffer *memory;
    mpsrnn_cell_kind kind;
    uint32_t input_channels, output_channels;
    uint32_t rows;                              /* of the batch that ran */
    mcy_memory output_in, memory_in;            /* h0, c0: as the parts of the record */
    mcy_matrix_record record;
}
@end

/* States for the steps of a sequence; the first one's h0 and c0 are zero. */
mpsrnn_status mcy_training_states_create(MCYTrainingLayer *layer, const mpsrnn_matrix *sources, size_t count,
                                         MCYTrainingState **states, mpsrnn_error *error);

/* Whether a GRU keeps what this matrix of its candidate multiplies: r * h0 or z * h0. */
BOOL mcy_training_keeps(MCYTrainingLayer *layer, uint32_t part);

/* Adds `count` values of `rows` x `slices` x 4 floats to a size, which stays at SIZE_MAX once it would exceed it;
 * returns where they begin. */
size_t mcy_training_reserve(size_t *total, uint32_t rows, uint32_t slices, size_t count);

/* ---- training_pack.m ---- */

/* A dispatch of one of the kernels of pack.metal. */
typedef struct {
    id<MTLComputePipelineState> pipeline;       /* owned by the device */
    mpsrnn_pack items[MPSRNN_MAX_GATES * MCY_PART_COUNT];
    uint32_t count, width, height;
} mcy_packs;

/* What one encoding packs of the weights: for forward kernels by stage, for those of gradients at 0. */
typedef struct {
    MCYBuffer *weights[2], *channels[2];
    mcy_packs matrices, vectors;
} mcy_packed_weights;

/* Encoding packs all of them; once prepared it cannot fail. That the encoder uses the matrices is up to the caller. */
mpsrnn_status mcy_pack_forward(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, mcy_packed_weights *out,
                               mpsrnn_error *error);
/* Fills in where `params` finds the matrices; those of the input only if `with_input`. */
mpsrnn_status mcy_pack_gradient(MCYTrainingLayer *layer, const mpsrnn_gate_matrices *gates, BOOL with_input,
                                mpsrnn_gradient_params *params, mcy_packed_weights *out, mpsrnn_error *error);
void mcy_packed_weights_encode(const mcy_packed_weights *packed, MCYCommand *command);
void mcy_packed_weights_destroy(mcy_packed_weights *packed);

/* ---- training_gradient.m, training_check.m, training_weights.m ---- */

/* Gradients of weights that one dispatch makes. */
typedef struct {
    id<MTLComputePipelineState> pipeline;       /* owned by the device */
    mpsrnn_weight_gradient items[MPSRNN_MAX_GATES * MCY_PART_COUNT];
    uint32_t count, columns;                    /* the largest number of these */
} mcy_weight_gradients;

/* One gradient call: first its arguments, then what is made for it. */
typedef struct {
    MCYTrainingLayer *layer;
    MCYCommand *command;                        /* locked */
    const mpsrnn_gate_matrices *weights;
    const mpsrnn_matrix *sources, *gradients;
    const mpsrnn_matrix *source_gradients;      /* NULL: not wanted */
    size_t count;
    const mpsrnn_gate_matrices *weight_gradients;   /* NULL: not wanted */
    BOOL accumulates;
    MCYTrainingState *const *states;
    const mpsrnn_matrix_state *carry_in;        /* NULL: zero */
    const mpsrnn_matrix_state *carries_out;
    size_t carry_count;                         /* 0, 1 or count */

    uint32_t rows;                              /* of the first source, which has most */
    size_t source_start, gradient_start, delta_start;   /* in `memory`, see mpsrnn_gradient_step: by step */
    size_t carry_output_start, carry_memory_start;      /* by slot */
    size_t carry_slots;                         /* one for every state, or two in turn */
    MCYBuffer *memory, *table;
    mpsrnn_gradient_params params;
    mcy_packed_weights packed;
    mcy_matrix_copies before, after;            /* from the caller's matrices, and to them */
    id<MTLComputePipelineState> pipeline, input_pipeline;   /* owned by the device */
    mcy_weight_gradients matrices, vectors;
} mcy_gradient;

/* Whether the caller wants the gradient of some matrix of the inputs. */
BOOL mcy_gradient_needs_sources(const mcy_gradient *gradient);
mpsrnn_status mcy_gradient_check(mcy_gradient *gradient, mpsrnn_error *error);
mpsrnn_status mcy_weight_gradients_prepare(mcy_gradient *gradient, mpsrnn_error *error);
/* The table of steps is bound. */
void mcy_weight_gradients_encode(const mcy_gradient *gradient);

/* ---- The contract's functions ---- */

mpsrnn_status mcy_training_layer_create(mpsrnn_device device, const mpsrnn_cell *cell, mpsrnn_training_layer *out,
                                        mpsrnn_error *error);
mpsrnn_status mcy_training_layer_encode_forward(mpsrnn_training_layer layer, mpsrnn_command command,
                                                const mpsrnn_gate_matrices *weights, const mpsrnn_matrix *sources,
                                                const mpsrnn_matrix *destinations, size_t count,
                                                const mpsrnn_matrix_state *state_in,
                                                const mpsrnn_matrix_state *states_out, size_t state_count,
                                                mpsrnn_training_state *training, mpsrnn_error *error);
mpsrnn_status mcy_training_layer_encode_gradient(mpsrnn_training_layer layer, mpsrnn_command command,
                                                 const mpsrnn_gate_matrices *weights, const mpsrnn_matrix *sources,
                                                 const mpsrnn_matrix *gradients,
                                                 const mpsrnn_matrix *source_gradients, size_t count,
                                                 const mpsrnn_gate_matrices *weight_gradients, bool accumulate,
                                                 const mpsrnn_training_state *training,
                                                 const mpsrnn_matrix_state *carry_in,
                                                 const mpsrnn_matrix_state *carries_out, size_t carry_count,
                                                 mpsrnn_error *error);

#endif
