/* The functions that the contract's table points to, by file. */
#ifndef MCY_FUNCTIONS_H
#define MCY_FUNCTIONS_H
#include "mpsrnn.h"

mpsrnn_status mcy_device_create_default(mpsrnn_device *out, mpsrnn_error *error);
mpsrnn_status mcy_device_copy_all(mpsrnn_device *out, size_t capacity, size_t *count, mpsrnn_error *error);
void mcy_device_get_info(mpsrnn_device device, mpsrnn_device_info *info);
mpsrnn_status mcy_device_set_thread_count(mpsrnn_device device, uint32_t count, mpsrnn_error *error);
bool mcy_device_is_same(mpsrnn_device a, mpsrnn_device b);
mpsrnn_status mcy_queue_create(mpsrnn_device device, mpsrnn_queue *out, mpsrnn_error *error);
mpsrnn_status mcy_command_create(mpsrnn_queue queue, mpsrnn_command *out, mpsrnn_error *error);
mpsrnn_status mcy_command_add_completion(mpsrnn_command command, mpsrnn_completion function, void *context,
                                         mpsrnn_error *error);
mpsrnn_status mcy_command_commit(mpsrnn_command command, mpsrnn_error *error);
mpsrnn_status mcy_command_wait(mpsrnn_command command, mpsrnn_error *error);
mpsrnn_status mcy_command_run(mpsrnn_command command, mpsrnn_error *error);
void mcy_command_get_info(mpsrnn_command command, mpsrnn_command_info *info);
mpsrnn_status mcy_texture_create(mpsrnn_device device, const mpsrnn_texture_descriptor *descriptor, mpsrnn_texture *out,
                                 mpsrnn_error *error);
void mcy_texture_get_descriptor(mpsrnn_texture texture, mpsrnn_texture_descriptor *descriptor);
void mcy_texture_get_storage(mpsrnn_texture texture, mpsrnn_storage *storage);
mpsrnn_status mcy_image_handle_create(mpsrnn_device device, const mpsrnn_image_descriptor *descriptor,
                                      mpsrnn_image *out, mpsrnn_error *error);
mpsrnn_status mcy_image_create_over(mpsrnn_texture texture, uint32_t first_slice, uint32_t images, uint32_t channels,
                                    mpsrnn_image *out, mpsrnn_error *error);
void mcy_image_get_descriptor(mpsrnn_image image, mpsrnn_image_descriptor *descriptor);
void mcy_image_get_texture_descriptor(mpsrnn_image image, mpsrnn_texture_descriptor *descriptor);
void mcy_image_get_storage(mpsrnn_image image, mpsrnn_storage *storage);
mpsrnn_status mcy_image_copy_texture(mpsrnn_image image, mpsrnn_texture *out, mpsrnn_error *error);
mpsrnn_status mcy_image_write(mpsrnn_image image, const void *bytes, const mpsrnn_image_region *region,
                              mpsrnn_error *error);
mpsrnn_status mcy_image_read(mpsrnn_image image, void *bytes, const mpsrnn_image_region *region, mpsrnn_error *error);
mpsrnn_status mcy_image_layer_create(mpsrnn_device device, const mpsrnn_cell *cells, size_t count,
                                     mpsrnn_image_layer *out, mpsrnn_error *error);
mpsrnn_status mcy_image_layer_encode_sequence(mpsrnn_image_layer layer, mpsrnn_command command,
                                              const mpsrnn_image *sources, const mpsrnn_image *destinations,
                                              size_t count, mpsrnn_image_state state_in,
                                              mpsrnn_image_state *states_out, size_t state_count,
                                              bool private_states, mpsrnn_error *error);
mpsrnn_status mcy_image_layer_encode_bidirectional(mpsrnn_image_layer layer, mpsrnn_command command,
                                                   const mpsrnn_image *sources, const mpsrnn_image *forward,
                                                   const mpsrnn_image *backward, size_t count, mpsrnn_combine combine,
                                                   mpsrnn_image_state state_in, mpsrnn_error *error);
mpsrnn_status mcy_image_state_create(const mpsrnn_image *outputs, const mpsrnn_image *memories, size_t layer_count,
                                     mpsrnn_image_state *out, mpsrnn_error *error);
size_t mcy_image_state_layer_count(mpsrnn_image_state state);
mpsrnn_image mcy_image_state_copy_image(mpsrnn_image_state state, size_t layer, mpsrnn_state_part part);
mpsrnn_status mcy_buffer_handle_create(mpsrnn_device device, size_t length, uint32_t storage_mode, mpsrnn_buffer *out,
                                       mpsrnn_error *error);
mpsrnn_status mcy_buffer_handle_create_no_copy(mpsrnn_device device, void *bytes, size_t length,
                                               mpsrnn_completion release, void *context, mpsrnn_buffer *out,
                                               mpsrnn_error *error);
size_t mcy_buffer_length(mpsrnn_buffer buffer);
void *mcy_buffer_contents(mpsrnn_buffer buffer);
mpsrnn_status mcy_matrix_layer_create(mpsrnn_device device, const mpsrnn_cell *cells, size_t count,
                                      mpsrnn_matrix_layer *out, mpsrnn_error *error);
mpsrnn_status mcy_matrix_layer_encode_sequence(mpsrnn_matrix_layer layer, mpsrnn_command command,
                                               const mpsrnn_matrix *sources, const mpsrnn_matrix *destinations,
                                               size_t count, const mpsrnn_matrix_state *state_in,
                                               const mpsrnn_matrix_state *states_out, size_t state_count,
                                               uint32_t options, mpsrnn_error *error);
mpsrnn_status mcy_matrix_layer_encode_bidirectional(mpsrnn_matrix_layer layer, mpsrnn_command command,
                                                    const mpsrnn_matrix *sources, const mpsrnn_matrix *forward,
                                                    const mpsrnn_matrix *backward, size_t count,
                                                    mpsrnn_combine combine, const mpsrnn_matrix_state *state_in,
                                                    uint32_t options, mpsrnn_error *error);
void mcy_release(void *handle);
size_t mcy_live_handle_count(void);

#endif
