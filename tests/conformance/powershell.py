"""Reads a PowerShell script by the grammar of tree-sitter, and refuses what Constrained Language Mode or PowerShell 2.0
does not allow.

usage: powershell.py SCRIPT

In that mode a script may convert to core types only, may call methods of core types only, and may make no objects of
other types (about_Language_Modes). The names below are those that deploy/windows/certificates.ps1 needs: cmdlets of
PowerShell 2.0, and methods of strings, characters, times and hash tables.
"""

import sys

import tree_sitter
import tree_sitter_powershell

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_powershell.language()))

TYPES = {"int", "long", "string", "Parameter"}

METHODS = {"ContainsKey", "Substring", "ToCharArray", "ToLower", "ToUniversalTime"}

CMDLETS = {
    "Get-ChildItem", "Get-Date", "Get-ItemProperty", "Move-Item", "New-Item", "Out-Null", "Set-Content", "Set-StrictMode",
    "Sort-Object", "Split-Path", "Test-Path", "Write-Error", "Write-Warning",
}  # fmt: skip


def errors(source):
    """What is wrong with a script, one sentence each."""
    root = PARSER.parse(source).root_node
    text = lambda node: source[node.start_byte : node.end_byte].decode()
    functions = {text(child) for node in nodes(root) for child in node.children if child.type == "function_name"}
    for node in nodes(root):
        place = f"line {node.start_point.row + 1}: "
        if node.type == "ERROR" or node.is_missing:
            yield place + f"cannot be parsed: {text(node)[:60]!r}"
        elif node.type == "type_name" and text(node) not in TYPES:
            yield place + f"[{text(node)}] is no core type that the script may use"
        elif node.type == "member_name" and node.parent.type.startswith("invokation") and text(node) not in METHODS:
            yield place + f"the method {text(node)} is not one of a core type"
        elif node.type == "command_name" and text(node) not in CMDLETS | functions:
            yield place + f"{text(node)} is no cmdlet of the list"
        elif node.type == "::":
            yield place + "static members are those of types that the mode does not allow"


def nodes(node):
    yield node
    for child in node.children:
        yield from nodes(child)


# A script that is allowed, and what makes it one that is not.
ALLOWED = b"function Format-It($value) { return [string]$value.ToLower() }\nFormat-It (Get-Date)\n"
REFUSED = [
    b"if ($true) { Get-Date",
    b"[IO.File]::ReadAllText('a')",
    b"New-Object Net.WebClient",
    b"Add-Type -TypeDefinition 'class A {}'",
    b"$certificate.GetRawCertData()",
    b"[byte[]]$hash",
    b"Get-CimInstance Win32_Process",
    b"$now.ToString('o')",
]


def main(path):
    assert list(errors(ALLOWED)) == [], list(errors(ALLOWED))
    for wrong in REFUSED:
        assert list(errors(ALLOWED + wrong + b"\n")), f"{wrong} is not refused"
    with open(path, "rb") as script:
        found = list(errors(script.read()))
    for error in found:
        print(f"{path}: {error}", file=sys.stderr)
    print(f"{path}: {len(found)} errors; {len(REFUSED)} wrong scripts refused")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
