"""File-scope declarations of a kernel source.

Everything at file scope is either recognised or rejected with its position; nothing is skipped.
"""

from __future__ import annotations

from dataclasses import replace

from .cursor import Cursor
from .declarations import Function, FunctionConstant, Instantiation, Source, Span, Table
from .lexer import Token, tokenize
from .parameters import binding_index, parse_parameters, require_address_spaces
from .preprocessor import read_directives
from .threadgroup import threadgroup_variables

_FUNCTION_CONSTANT_TYPES = ("bool", "int", "uint", "float")
_SPECIFIERS = frozenset({"static", "inline", "constexpr", "const", "constant"})


def parse(text: str, stem: str) -> Source:
    """Parse a bundled kernel source."""
    tokens = tokenize(text, f"{stem}.metal")
    code = [index for index, token in enumerate(tokens) if token.is_code]
    source = Source(stem, tokens, code)
    if not stem.isidentifier():
        raise tokens[0].error(f"the stem {stem!r} of a kernel file has to be an identifier")
    if code:
        read_directives(source)
        _Parser(source).run()
    return source


class _Parser:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.cursor = Cursor(source)

    def run(self) -> None:
        while not self.cursor.at_end:
            self._declaration()
        self._check_instantiations()

    def _declaration(self) -> None:
        cursor = self.cursor
        if cursor.token().kind == "directive":
            self._directive()
        elif cursor.text() == ";":
            cursor.position += 1
        elif cursor.text() == "using":
            self._using()
        elif cursor.text() in ("typedef", "static_assert"):
            cursor.skip_to(";")
            cursor.expect(";")
        elif cursor.text() in ("struct", "union", "enum", "class"):
            self._type_definition()
        elif cursor.text() == "template":
            self._template()
        elif cursor.text() == "kernel":
            self._kernel(None)
        elif cursor.token().kind == "word" and cursor.text() != "namespace":
            self._function_or_variable(None)
        else:
            raise cursor.error(f"'{cursor.text()}' at file scope is not understood")

    def _directive(self) -> None:
        token = self.cursor.token()
        if token.directive == "include" and "<metal_" in token.text:
            self.source.dropped.append(Span(self.cursor.position, self.cursor.position + 1))
        elif token.directive == "pragma":
            raise token.error("#pragma unroll at file scope")
        self.cursor.position += 1

    def _refuse_conditional(self, what: str) -> None:
        """Whether a condition holds only the compiler knows, but the tables name all kernels and constants."""
        if self.source.conditional[self.cursor.position]:
            raise self.cursor.error(f"{what} inside a preprocessor conditional is not understood")

    # Types --------------------------------------------------------------------------------------------------

    def _using(self) -> None:
        cursor = self.cursor
        start = cursor.position
        if cursor.text(1) == "namespace":
            cursor.position += 2
            if cursor.text() != "metal":
                raise cursor.error("only 'using namespace metal;' is understood")
            cursor.expect("metal", ";")
            self.source.dropped.append(Span(start, cursor.position))
            return
        if cursor.text(2) != "=":
            raise cursor.error("only 'using NAME = TYPE;' and 'using namespace metal;' are understood")
        cursor.skip_to(";")
        cursor.expect(";")

    def _type_definition(self) -> None:
        cursor = self.cursor
        keyword = cursor.token()
        while cursor.text() not in ("{", ";", "(", "=") and not cursor.at_end:
            cursor.brackets() if cursor.text() in ("<", "[") else cursor.expect(cursor.text())
        if cursor.text() == "{":
            cursor.brackets()
        if cursor.text() != ";":
            raise keyword.error(
                f"'{keyword.text}' has to be a type definition that ends in '}};', got '{cursor.text()}' after it"
            )
        cursor.expect(";")

    # Templates ----------------------------------------------------------------------------------------------

    def _template(self) -> None:
        cursor = self.cursor
        start = cursor.position
        cursor.expect("template")
        if cursor.at_attribute():
            self._instantiation(start)
            return
        if cursor.text() != "<":
            raise cursor.error(
                'an explicit instantiation has to read template [[host_name("name")]] kernel decltype(f<T>) f<T>;'
            )
        parameters = cursor.brackets()
        if not parameters:
            raise self.source.token(start).error("an explicit specialisation cannot be translated; overload instead")
        if cursor.text() == "kernel":
            self._kernel(parameters)
        elif cursor.text() in ("struct", "union", "class"):
            self._type_definition()
        elif cursor.text() == "using":
            self._using()
        else:
            self._function_or_variable(parameters)

    def _instantiation(self, start: int) -> None:
        cursor = self.cursor
        self._refuse_conditional("the instantiation of a kernel")
        token = self.source.token(start)
        cursor.expect("[", "[", "host_name", "(")
        host_name = cursor.text().strip('"')
        if cursor.token().kind != "string" or not host_name.isidentifier():
            raise cursor.error(f"expected the kernel's name in quotes, got {cursor.text()}")
        cursor.position += 1
        cursor.expect(")", "]", "]", "kernel", "decltype")
        named = cursor.brackets()
        kernel = cursor.word("the name of a kernel template")
        if cursor.text() != "<":
            raise cursor.error(f"expected '<' after the kernel template '{kernel}', got '{cursor.text()}'")
        position = cursor.position
        cursor.brackets()
        arguments = Span(position, cursor.position)
        if self._words(named) != self._words(Span(position - 1, cursor.position)):
            raise token.error("the two names in kernel decltype(f<T>) f<T>; differ")
        cursor.expect(";")
        self.source.instantiations.append(
            Instantiation(host_name, kernel, arguments, Span(start, cursor.position), token)
        )

    def _words(self, span: Span) -> list[str]:
        return [self.source.token(index).text for index in span]

    def _check_instantiations(self) -> None:
        templates = {kernel.name: kernel for kernel in self.source.kernels if kernel.template is not None}
        names = {kernel.name for kernel in self.source.kernels if kernel.template is None}
        for instantiation in self.source.instantiations:
            if instantiation.kernel not in templates:
                raise instantiation.token.error(f"there is no kernel template '{instantiation.kernel}' in this file")
            if instantiation.host_name in names:
                raise instantiation.token.error(f"there are two kernels of the name '{instantiation.host_name}'")
            names.add(instantiation.host_name)
        unused = set(templates) - {instantiation.kernel for instantiation in self.source.instantiations}
        for name in sorted(unused):
            raise templates[name].name_token.error(f"the kernel template '{name}' is never instantiated")

    # Functions and constants --------------------------------------------------------------------------------

    def _kernel(self, template: Span | None) -> None:
        cursor = self.cursor
        self._refuse_conditional("a kernel")
        head = Span(cursor.position, cursor.position + 2)
        cursor.expect("kernel", "void")
        name_token = cursor.token()
        name = cursor.word("the name of a kernel")
        if any(kernel.name == name for kernel in self.source.kernels):
            raise name_token.error(f"there are two kernels of the name '{name}'")
        self._function_rest(name, name_token, template, head, is_kernel=True)

    def _function_or_variable(self, template: Span | None) -> None:
        cursor = self.cursor
        start = cursor.position
        has_type = False
        while cursor.text() not in ("(", ";", "=", "[", "{") and not cursor.at_end:
            if cursor.text() == "__attribute__":
                cursor.position += 1
                cursor.brackets()
            elif cursor.text() == "<":
                cursor.brackets()
            else:
                has_type = has_type or (cursor.text() not in _SPECIFIERS and cursor.text(1) != "(")
                cursor.position += 1
        if cursor.text() == "(":
            self._function(start, template, has_type)
        elif "constant" in self._words(Span(start, cursor.position)):
            self._constant(start, template)
        else:
            raise self.source.token(start).error(
                "a file-scope variable has to be in the constant address space: constant constexpr T NAME = ...;"
            )

    def _function(self, start: int, template: Span | None, has_type: bool) -> None:
        cursor = self.cursor
        name_token = cursor.token(-1)
        head = Span(start, cursor.position - 1)
        if "operator" in (name_token.text, *self._words(head)):
            raise name_token.error("an operator at file scope cannot be translated; write a function")
        if not has_type or name_token.kind != "word":
            raise self.source.token(start).error(
                f"'{self.source.text(head)} {name_token.text}(...' at file scope is not understood; "
                f"macros that declare something have to be written out"
            )
        require_address_spaces(self.source, head, "the return type")
        self._function_rest(name_token.text, name_token, template, head, is_kernel=False)

    def _function_rest(self, name: str, name_token: Token, template: Span | None, head: Span, is_kernel: bool) -> None:
        cursor = self.cursor
        if cursor.text() != "(":
            raise cursor.error(f"expected '(' after '{name}', got '{cursor.text()}'")
        parameter_list = cursor.brackets()
        if cursor.text() == ";":
            raise name_token.error(f"the prototype of '{name}' is not needed; write the function where it stands")
        if cursor.text() != "{":
            raise cursor.error(f"expected the body of '{name}', got '{cursor.text()}'")
        body_start = cursor.position
        cursor.brackets()
        body = Span(body_start, cursor.position)
        parameters = parse_parameters(self.source, parameter_list, is_kernel)
        function = Function(name, name_token, template, head, parameter_list, body, is_kernel, parameters)
        variables = threadgroup_variables(self.source, function)
        self.source.functions.append(replace(function, threadgroup_variables=variables))

    def _constant(self, start: int, template: Span | None) -> None:
        cursor = self.cursor
        if template is not None:
            raise self.source.token(start).error("a variable template is not understood")
        name_token = cursor.token(-1)
        if name_token.kind != "word":
            raise name_token.error(f"expected the name of a constant, got '{name_token.text}'")
        head = Span(start, cursor.position - 1)
        if cursor.at_attribute():
            self._function_constant(head, name_token)
            return
        if cursor.text() == ";":
            raise name_token.error(f"the constant '{name_token.text}' has neither a value nor [[function_constant(N)]]")
        cursor.skip_to(";")
        cursor.expect(";")
        self.source.tables.append(Table(name_token.text, head, Span(start, cursor.position)))

    def _function_constant(self, head: Span, name_token: Token) -> None:
        cursor = self.cursor
        self._refuse_conditional("a function constant")
        words = self._words(head)
        if words[0] != "constant" or len(words) != 2 or words[1] not in _FUNCTION_CONSTANT_TYPES:
            raise name_token.error(
                f"a function constant has to read constant {'|'.join(_FUNCTION_CONSTANT_TYPES)} NAME "
                f"[[function_constant(N)]]; got '{' '.join(words)} {name_token.text}'"
            )
        cursor.expect("[", "[", "function_constant")
        index = binding_index(self.source, cursor.brackets(), 65536)
        cursor.expect("]", "]", ";")
        for other in self.source.function_constants:
            if name_token.text == other.name or index == other.index:
                raise name_token.error(f"function constant {name_token.text} ({index}) repeats {other.name}")
        self.source.function_constants.append(
            FunctionConstant(name_token.text, words[1], index, Span(head.start, cursor.position))
        )
