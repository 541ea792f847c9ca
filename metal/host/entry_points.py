"""The C++ after the translated source: functions that run a threadgroup of a kernel, and the tables of msl_program.

Per kernel some members of `struct program` are written, templates when the kernel is one, so that types and sizes are
the compiler's business: `msl_arguments_<kernel>` describes the bindings; `msl_run_<kernel>` builds the arguments once
and calls the kernel for every thread of a threadgroup, or builds them and calls it for one thread of a cooperative
kernel; `msl_memory_<kernel>` has the threadgroup variables.
"""

from __future__ import annotations

from .declarations import Function, Parameter, Source, Span
from .threadgroup import cooperative_kernels

_DATA_TYPES = {"float": 3, "int": 29, "uint": 33, "bool": 53}  # MTLDataType
_ACCESS = {
    "read": "MSL_ACCESS_READ",
    "write": "MSL_ACCESS_WRITE",
    "read_write": "MSL_ACCESS_READ | MSL_ACCESS_WRITE",
}
_MEMORY_KINDS = {"buffer": "MSL_ARGUMENT_BUFFER", "threadgroup": "MSL_ARGUMENT_THREADGROUP"}
_TEXTURE_KINDS = {"texture2d": "MSL_ARGUMENT_TEXTURE_2D", "texture2d_array": "MSL_ARGUMENT_TEXTURE_2D_ARRAY"}


def entry_points(source: Source, variant: str) -> str:
    """The rest of the class `program` and everything after it."""
    lines = [f'#line 1 "{source.stem}.metal (entry points)"']
    cooperative = cooperative_kernels(source)
    for kernel in source.kernels:
        lines += _argument_table(source, kernel)
        lines += _memory(source, kernel)
        lines += _run(source, kernel, kernel.name in cooperative)
    lines += ["};", ""]
    lines += _constant_table(source)
    lines += _kernel_table(source, cooperative)
    lines += ["}", "}", "", _program(source, variant)]
    return "\n".join(lines) + "\n"


def _bindings(kernel: Function) -> list[Parameter]:
    return [parameter for parameter in kernel.parameters if parameter.kind != "builtin"]


def _template(source: Source, kernel: Function) -> list[str]:
    return [] if kernel.template is None else [f"template <{source.text(kernel.template)}>"]


def _constant_index(source: Source, parameter: Parameter) -> int:
    indices = {constant.name: constant.index for constant in source.function_constants}
    return indices[parameter.only_if] if parameter.only_if else -1


def _argument_table(source: Source, kernel: Function) -> list[str]:
    rows = []
    for parameter in _bindings(kernel):
        if parameter.kind in _MEMORY_KINDS:
            kind = _MEMORY_KINDS[parameter.kind]
            fields = [kind, _ACCESS[parameter.access], str(parameter.index), "MSL_COMPONENT_NONE"]
            fields.append(f"sizeof({source.text(parameter.type_span)})")
        else:
            kind = _TEXTURE_KINDS[source.token(parameter.type_span.start).text]
            fields = [kind, _ACCESS[parameter.access], str(parameter.index), "MSL_COMPONENT_FLOAT", "0"]
        rows.append(f'{{"{parameter.name}", {", ".join(fields)}, {_constant_index(source, parameter)}}},')
    if not rows:
        return []
    return [
        *_template(source, kernel),
        f"static constexpr struct msl_argument msl_arguments_{kernel.name}[] = {{",
        *(f"    {row}" for row in rows),
        "};",
    ]


def _template_arguments(source: Source, kernel: Function) -> str:
    """The kernel's template parameters as arguments, for other members that are templates of the same parameters."""
    if kernel.template is None:
        return ""
    return f"<{', '.join(_template_parameter_names(source, kernel.template))}>"


def memory_type(source: Source, kernel: Function) -> str:
    """The type that has the threadgroup variables of a kernel as members, as the kernel itself names it."""
    return f"msl_memory_{kernel.name}{_template_arguments(source, kernel)}"


def _memory(source: Source, kernel: Function) -> list[str]:
    if not kernel.threadgroup_variables:
        return []
    return [
        *_template(source, kernel),
        f"struct msl_memory_{kernel.name} {{",
        *(
            f"    {source.text(variable.type_span)} {variable.name}{source.text(variable.dimensions)};"
            for variable in kernel.threadgroup_variables
        ),
        "};",
    ]


def _run(source: Source, kernel: Function, is_cooperative: bool) -> list[str]:
    """The function has names that no kernel source uses, so that it hides nothing."""
    template_arguments = _template_arguments(source, kernel)
    values = ", ".join(_value(source, parameter) for parameter in kernel.parameters)
    if kernel.threadgroup_variables:
        values = f"msl_memory_, {values}" if values else "msl_memory_"
    call = f"msl_self_.{kernel.name}{template_arguments}({values});"
    copied = " = *static_cast<const program *>(msl_dispatch_->constants)"
    lines = [
        f"const program msl_self_{copied if source.function_constants else '{}'};",
        *(line for parameter in _bindings(kernel) for line in _binding(source, kernel, parameter)),
        "msl::thread msl_thread_(*msl_dispatch_, msl_threadgroup_);",
    ]
    if is_cooperative:
        lines += ["msl_thread_.place(msl_index_);", "(void)msl_memory_;", call]
    else:
        lines += _loop(call)
    more = ", uint32_t msl_index_, void *msl_memory_" if is_cooperative else ""
    return [
        *_template(source, kernel),
        f"static void msl_run_{kernel.name}"
        f"(const struct msl_dispatch *msl_dispatch_, const uint32_t *msl_threadgroup_{more})",
        "{",
        *(f"    {line}" for line in lines),
        "}",
    ]


def _loop(call: str) -> list[str]:
    """The call for every thread of a threadgroup."""
    return [
        "for (msl_thread_.z = 0; msl_thread_.z < msl_thread_.size[2]; ++msl_thread_.z)",
        "    for (msl_thread_.y = 0; msl_thread_.y < msl_thread_.size[1]; ++msl_thread_.y)",
        "        for (msl_thread_.x = 0; msl_thread_.x < msl_thread_.size[0]; ++msl_thread_.x)",
        f"            {call}",
    ]


def _template_parameter_names(source: Source, template: Span) -> list[str]:
    """The last word of each template parameter, before its default."""
    names = []
    depth = 0
    name = ""
    in_default = False
    for index in template:
        token = source.token(index)
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            names.append(name)
            in_default = False
        elif token.text == "=":
            in_default = True
        elif token.kind == "word" and not in_default:
            name = token.text
    return [*names, name]


def _binding(source: Source, kernel: Function, parameter: Parameter) -> list[str]:
    """The binding and, made from it, the argument that every thread of the threadgroup gets."""
    binding = f"msl_{parameter.kind}_{parameter.index}_"
    violation = f"kernel '{kernel.name}': access outside {parameter.kind} argument '{parameter.name}'"
    type_name = source.text(parameter.type_span)
    if parameter.kind == "threadgroup":
        pointer = f"{binding}.template pointer<{type_name}>()"
        is_pointer = parameter.declarator == "*"
        type_name = f"const msl_threadgroup<{type_name}>" if is_pointer else f"{type_name} &"
        argument = f"{type_name} {binding}argument = {'' if is_pointer else '*'}{pointer};"
    elif parameter.kind == "texture":
        argument = f"const {type_name} {binding}argument({binding});"
    elif parameter.declarator == "&":
        argument = f"const {type_name} &{binding}argument = {binding}.template reference<const {type_name}>();"
    else:
        target = f"const {type_name}" if parameter.access == "read" else type_name
        argument = f"const msl_device<{target}> {binding}argument = {binding}.template pointer<{target}>();"
    made_from = f"*msl_dispatch_, {parameter.index}"
    if parameter.kind == "threadgroup":
        size = f"msl::memory_size<{memory_type(source, kernel)}>" if kernel.threadgroup_variables else "0"
        made_from += f", msl_memory_, {size}"
    return [f'const msl::{parameter.kind}_argument {binding}({made_from}, "{violation}");', argument]


def _value(source: Source, parameter: Parameter) -> str:
    if parameter.kind == "builtin":
        return f"msl::truncate<{source.text(parameter.type_span)}>(msl_thread_.{parameter.attribute}())"
    return f"msl_{parameter.kind}_{parameter.index}_argument"


def _constant_table(source: Source) -> list[str]:
    if not source.function_constants:
        return []
    return [
        "const struct msl_constant msl_constants[] = {",
        *(
            f'    {{"{constant.name}", {constant.index}, {_DATA_TYPES[constant.type]}, '
            f"__builtin_offsetof(program, {constant.name})}},"
            for constant in source.function_constants
        ),
        "};",
    ]


def _kernel_table(source: Source, cooperative: set[str]) -> list[str]:
    rows = []
    for kernel in source.kernels:
        if kernel.template is None:
            entries = [(kernel.name, "")]
        else:
            entries = [
                (instantiation.host_name, source.text(instantiation.arguments))
                for instantiation in source.instantiations
                if instantiation.kernel == kernel.name
            ]
        count = len(_bindings(kernel))
        for host_name, arguments in entries:
            table = f"msl_arguments_{kernel.name}{arguments}" if count else "nullptr"
            run = f"msl_run_{kernel.name}{arguments}"
            size = f"msl::memory_size<msl_memory_{kernel.name}{arguments}>" if kernel.threadgroup_variables else "0"
            runs = (run, "nullptr") if kernel.name not in cooperative else ("nullptr", run)
            rows.append(f'        {{"{host_name}", {runs[0]}, {table}, {count}, {runs[1]}, {size}}},')
    return [
        "struct msl_entries : program {",  # inside the class, so that template arguments are looked up there
        "    static constexpr struct msl_kernel kernels[] = {",
        *rows,
        "    };",
        "};",
    ]


def _program(source: Source, variant: str) -> str:
    constants = len(source.function_constants)
    kernels = len(source.instantiations) + sum(kernel.template is None for kernel in source.kernels)
    size, table = ("sizeof(metal::program)", "metal::msl_constants") if constants else ("0", "nullptr")
    return (
        f'extern "C" const struct msl_program msl_program_{source.stem}_{variant} = '
        f"{{{size}, {table}, {constants}, metal::msl_entries::kernels, {kernels}}};"
    )
