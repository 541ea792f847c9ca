"""What a kernel source declares at file scope, as the parser finds it and the emitters use it.

A `Span` is a range of indices into the code tokens of a `Source`: spaces and comments are not counted, so the token
after index i is i + 1. Directives are code tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .lexer import Token

Span = range

# Words that name where the target of a pointer or reference lies.
ADDRESS_SPACES = frozenset({"device", "constant", "thread", "threadgroup"})


@dataclass(frozen=True)
class AddressSpaceType:
    """The `device const vec<T, 4>` of a declaration; `span` ends before the `*` or `&`."""

    space: str
    is_const: bool
    span: Span
    type_span: Span
    declarator: str  # '*' or '&'


@dataclass(frozen=True)
class FunctionConstant:
    """A constant that a pipeline sets: `constant bool NAME [[function_constant(3)]];`."""

    name: str
    type: str
    index: int
    span: Span


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    `kind` is buffer, threadgroup, texture or builtin. `type_span` is the pointee of a buffer or threadgroup memory, the
    whole type otherwise. `attribute` is the name of a builtin such as thread_position_in_grid.
    """

    kind: str
    name: str
    type_span: Span
    attribute_span: Span
    attribute: str
    index: int = -1
    declarator: str = ""  # '*' or '&' for buffers and threadgroup memory
    access: str = ""  # read, write or read_write
    only_if: str = ""  # the function constant that must be true for the argument to exist


@dataclass(frozen=True)
class ThreadgroupVariable:
    """Memory of a threadgroup that a kernel declares: `threadgroup float name[4];`."""

    name: str
    type_span: Span
    dimensions: Span  # with the brackets; empty for a variable that is no array
    span: Span


@dataclass(frozen=True)
class Function:
    """A function or kernel. `head` is what stands before the name: specifiers and the return type."""

    name: str
    name_token: Token
    template: Span | None
    head: Span
    parameter_list: Span  # without the parentheses
    body: Span  # with the braces
    is_kernel: bool
    parameters: tuple[Parameter, ...] = ()
    threadgroup_variables: tuple[ThreadgroupVariable, ...] = ()

    @property
    def span(self) -> Span:
        start = self.template.start - 1 if self.template else self.head.start
        return Span(start, self.body.stop)


@dataclass(frozen=True)
class Instantiation:
    """A kernel made of a template: `template [[host_name("f_half")]] kernel decltype(f<half>) f<half>;`."""

    host_name: str
    kernel: str
    arguments: Span  # with the angle brackets
    span: Span
    token: Token


@dataclass(frozen=True)
class Table:
    """Data known when the source is compiled: `constant float NAME[4] = {...};`. `head` has the specifiers."""

    name: str
    head: Span
    span: Span


@dataclass
class Source:
    """A parsed kernel source."""

    stem: str
    tokens: list[Token]
    code: list[int]  # indices into tokens
    macros: dict[str, list[Token]] = field(default_factory=dict)  # the words of all definitions of each name
    uncertain_macros: set[str] = field(default_factory=set)  # defined twice, undefined, or inside a conditional
    conditional: list[bool] = field(default_factory=list)  # of each code token, whether it is inside a conditional
    function_constants: list[FunctionConstant] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    instantiations: list[Instantiation] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    dropped: list[Span] = field(default_factory=list)  # `using namespace metal;`, includes of Metal's own headers

    def token(self, index: int) -> Token:
        return self.tokens[self.code[index]]

    def text(self, span: Span) -> str:
        """A span on one line, comments left out and each gap between words one space wide."""
        pieces = []
        for index in span:
            gap = index > span.start and self.code[index] > self.code[index - 1] + 1
            pieces.append(f" {self.token(index).text}" if gap else self.token(index).text)
        return "".join(pieces)

    @property
    def kernels(self) -> list[Function]:
        return [function for function in self.functions if function.is_kernel]
