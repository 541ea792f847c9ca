#include "context.h"
#include <stdint.h>
#include <string.h>

#if PM_CONTEXT_OF_SYSTEM

void pm_context_make(struct pm_context *context, void *stack, size_t size, void (*entry)(void))
{
    getcontext(&context->registers);
    context->registers.uc_stack.ss_sp = stack;
    context->registers.uc_stack.ss_size = size;
    context->registers.uc_link = NULL;
    makecontext(&context->registers, entry, 0);
}

/* Saves and restores the signal mask too: two system calls. */
PM_UNINSTRUMENTED void pm_context_switch(struct pm_context *from, struct pm_context *to)
{
    swapcontext(&from->registers, &to->registers);
}

#else

/* Stores what a function has to preserve on the stack, the stack's top at *`from`, and does the reverse with `to`. */
__attribute__((visibility("hidden"))) void pm_switch_stack(void **from, void *to);

#if defined(__x86_64__)
enum { RETURN_ADDRESS = 6, FRAME_WORDS = 8 };
__asm__(".text\n"
        ".p2align 4\n"
        ".globl pm_switch_stack\n"
        ".hidden pm_switch_stack\n"
        ".type pm_switch_stack, @function\n"
        "pm_switch_stack:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size pm_switch_stack, . - pm_switch_stack\n");
#else
enum { RETURN_ADDRESS = 11, FRAME_WORDS = 20 };
__asm__(".text\n"
        ".p2align 4\n"
        ".globl pm_switch_stack\n"
        ".hidden pm_switch_stack\n"
        ".type pm_switch_stack, %function\n"
        "pm_switch_stack:\n"
        "    sub sp, sp, #160\n"
        "    stp x19, x20, [sp, #0]\n"
        "    stp x21, x22, [sp, #16]\n"
        "    stp x23, x24, [sp, #32]\n"
        "    stp x25, x26, [sp, #48]\n"
        "    stp x27, x28, [sp, #64]\n"
        "    stp x29, x30, [sp, #80]\n"
        "    stp d8, d9, [sp, #96]\n"
        "    stp d10, d11, [sp, #112]\n"
        "    stp d12, d13, [sp, #128]\n"
        "    stp d14, d15, [sp, #144]\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n"
        "    ldp x19, x20, [sp, #0]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    add sp, sp, #160\n"
        "    ret\n"
        ".size pm_switch_stack, . - pm_switch_stack\n");
#endif

/* The stack looks as if pm_switch_stack had been called at the start of `entry`, by nobody. */
void pm_context_make(struct pm_context *context, void *stack, size_t size, void (*entry)(void))
{
    const uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    void **frame = (void **)top - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof *frame);
    memcpy(&frame[RETURN_ADDRESS], &entry, sizeof entry);
    context->stack_pointer = frame;
}

PM_UNINSTRUMENTED void pm_context_switch(struct pm_context *from, struct pm_context *to)
{
    pm_switch_stack(&from->stack_pointer, to->stack_pointer);
}
#endif
