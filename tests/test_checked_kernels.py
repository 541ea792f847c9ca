"""Checked kernels stay inside what they may reach, and say what they would have left."""

from __future__ import annotations

import subprocess
from pathlib import Path

import host
from test_translated_kernels import HEADER, compile_cxx, requires_gxx

OVERRUN = (
    HEADER
    + """
struct pair { float a; float b; };
kernel void overrun(device float *out [[buffer(0)]], device const pair *in [[buffer(1)]],
                    constant int &index [[buffer(2)]], uint i [[thread_position_in_grid]])
{
    device const pair *p = in + index;
    const float read = p->a + p[1].b;
    out[int(i) + index] = read + 1.0f;
}
"""
)
OVERRUN_MAIN = """
#include <stdio.h>
#include <stdlib.h>
int main()
{
    for (int index = -3; index < 4; ++index) {
        float *out = (float *)calloc(2, sizeof(float)), *in = (float *)calloc(4, sizeof(float));
        for (int i = 0; i < 4; ++i)
            in[i] = i + 1;
        struct msl_dispatch dispatch = {};
        dispatch.buffers[0] = {out, 2 * sizeof(float), nullptr};
        dispatch.buffers[1] = {in, 4 * sizeof(float), nullptr};
        dispatch.buffers[2] = {&index, sizeof index, nullptr};
        for (int i = 0; i < 3; ++i)
            dispatch.threads_per_threadgroup[i] = dispatch.threadgroups[i] = 1;
        const uint32_t threadgroup[3] = {};
        msl_program_overrun_checked.kernels[0].run_threadgroup(&dispatch, threadgroup);
        printf("%d %g %g %s\\n", index, out[0], out[1], dispatch.violation ? dispatch.violation : "-");
        free(out);
        free(in);
    }
}
"""


@requires_gxx
def test_checked_build_stays_inside_buffers_and_says_what_was_wrong(tmp_path: Path) -> None:
    source = host.translate(OVERRUN, "overrun", "checked") + OVERRUN_MAIN
    sanitizers = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = compile_cxx(source, tmp_path / "overrun", *sanitizers)
    output = subprocess.run([program], capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    outside_in = "kernel 'overrun': access outside buffer argument 'in'"
    # in holds (1, 2), (3, 4): index 0 reads 1 + 4, index 1 reads 3 + 0, index -1 reads 0 + 2.
    assert output.stdout.splitlines() == [
        f"-3 0 0 {outside_in}",
        f"-2 0 0 {outside_in}",
        f"-1 0 0 {outside_in}",
        "0 6 0 -",
        f"1 0 4 {outside_in}",
        f"2 0 0 {outside_in}",
        f"3 0 0 {outside_in}",
    ]


FOLLOW = (
    HEADER
    + """
struct entry { device const float *source; device uchar *destination; };
kernel void follow(device const entry *entries [[buffer(0)]], device float *bound [[buffer(1)]],
                   constant int &index [[buffer(2)]])
{
    const entry e = entries[0];
    device half *to = (device half *)(e.destination + 4);
    if (e.source) {
        to[0] = half(e.source[index] + bound[0]);
    } else {
        bound[0] = *e.source;
    }
}
"""
)
FOLLOW_MAIN = """
#include <stdio.h>
#include <stdlib.h>
static void run(const char *name, float *source, void *destination, int index, const msl_resource *resources,
                bool is_bound = false)
{
    static float bound[2];
    const void *entry[2] = {source ? source : is_bound ? bound : nullptr, destination};
    struct msl_dispatch dispatch = {};
    dispatch.resources = resources;
    dispatch.buffers[0] = {entry, sizeof entry, nullptr};
    dispatch.buffers[1] = {bound, sizeof bound, nullptr};
    dispatch.buffers[2] = {&index, sizeof index, nullptr};
    for (int i = 0; i < 3; ++i)
        dispatch.threads_per_threadgroup[i] = dispatch.threadgroups[i] = 1;
    const uint32_t threadgroup[3] = {};
    msl_program_follow_checked.kernels[0].run_threadgroup(&dispatch, threadgroup);
    printf("%s: %s\\n", name, dispatch.violation ? dispatch.violation : "-");
}
int main()
{
    float *in = (float *)calloc(4, sizeof(float));
    uint16_t *out = (uint16_t *)calloc(3, sizeof *out);
    struct msl_resource reads = {nullptr, in, 16, MSL_ACCESS_READ};
    struct msl_resource both = {&reads, out, 6, MSL_ACCESS_READ | MSL_ACCESS_WRITE};
    struct msl_resource only = {&reads, out, 6, MSL_ACCESS_READ};
    run("right", in, out, 3, &both);
    run("after the end", in, out, 4, &both);
    run("before the start", in + 1, out, -2, &both);
    run("cast beyond the end", in, out + 1, 0, &both);
    run("not used", in, out, 0, &reads);
    run("read only", in, out, 0, &only);
    run("null", nullptr, out, 0, &both);
    run("bound", nullptr, out, 1, &both, true);
    run("outside the bound", nullptr, out, 2, &both, true);
    free(in);
    free(out);
}
"""


@requires_gxx
def test_checked_pointers_of_structs_are_bounded_by_resources(tmp_path: Path) -> None:
    source = host.translate(FOLLOW, "follow", "checked") + FOLLOW_MAIN
    sanitizers = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = compile_cxx(source, tmp_path / "follow", *sanitizers)
    output = subprocess.run([program], capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    outside = "access outside the resource that 'entry.{}' points into"
    nowhere = "'entry.{}' points into no resource that is bound or used"
    assert output.stdout.splitlines() == [
        "right: -",
        f"after the end: {outside.format('source')}",
        f"before the start: {outside.format('source')}",
        f"cast beyond the end: {outside.format('destination')}",
        f"not used: {nowhere.format('destination')}",
        "read only: 'entry.destination' can write a resource that is used for reading only",
        "null: access through 'entry.source', which is a null pointer",
        "bound: -",
        f"outside the bound: {outside.format('source')}",
    ]
